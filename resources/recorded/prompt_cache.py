"""The prompt cache of calls and sessions: what was read from it, what that saved, and where it broke."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import Struct

from intercept.blocks import BlockKind
from resources.fields import Count, doc
from storage.derived.sessions.prompt_cache import saved_usd

_USD = "US dollars; null if the price of a token is unknown."
_TOKENS = ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens")


class Cause(StrEnum):
    """What broke a prompt cache: a changed block, or a loss at the provider."""

    CHANGED = "changed"
    INSERTED = "inserted"
    REMOVED = "removed"
    REORDERED = "reordered"
    EXPIRED = "expired"
    EVICTED = "evicted"


class Block(Struct):
    """A part of a request that is cached as one."""

    kind: BlockKind
    index: Annotated[Count, doc("Its index among blocks of its kind, from 0.")]


class Break(Struct):
    """Where the prompt cache broke."""

    block: Annotated[Block | None, doc("The first block that differs from the call before; null if none does.")]
    cause: Annotated[
        Cause,
        doc(
            "What happened to that block. Without one: `expired` where the provider's lifetime was over "
            "(5 minutes, or the hour that was asked for), `evicted` where it was not."
        ),
    ]
    since: Annotated[UUID, doc("The call before, which had cached it.")]


class Cache(Struct):
    """Tokens of input by where they came from, and what the prompt cache saved and lost."""

    read_tokens: Annotated[Count, doc("Read from the cache.")]
    written_tokens: Annotated[Count, doc("Written to the cache.")]
    fresh_tokens: Annotated[Count, doc("In no cache.")]
    rate: Annotated[float | None, doc("The share that was read from the cache, 0 to 1; null without input.")]
    saved_usd: Annotated[float | None, doc(f"What the tokens that were read would have cost more. {_USD}")]
    lost_tokens: Annotated[Count, doc("Tokens that the call before had cached, and that were paid for again.")]
    lost_usd: Annotated[float | None, doc(f"What those cost more than to read them. {_USD}")]

    @classmethod
    def of(cls, totals: Mapping[str, Any]) -> Self:
        """Show the sums of a session, or of a group of calls or sessions."""
        get = totals.get
        read, written, fresh = (int(get(name, 0)) for name in _TOKENS)
        saved, lost = (_usd(get(name, 0)) if get("priced") else None for name in ("saved", "lost"))
        return cls(read, written, fresh, _rate(read, written, fresh), saved, int(get("lost_tokens", 0)), lost)


class CallCache(Cache):
    """What the prompt cache did for one call, and where it broke."""

    broke: Annotated[Break | None, doc("Null if nothing was lost, and until the call was added to its session.")]

    @classmethod
    def of_call(cls, document: Mapping[str, Any]) -> Self | None:
        """Show the prompt cache of a document; None where no response reported tokens."""
        usages = [usage for usage in document.get("token_usages", ()) if usage["input_tokens"] is not None]
        if not usages:
            return None
        read, written, fresh = (sum(int(usage[name] or 0) for usage in usages) for name in _TOKENS)
        cost, loss = document.get("cost") or {}, document.get("cache_loss")
        is_priced = "rates" in cost
        return cls(
            read,
            written,
            fresh,
            _rate(read, written, fresh),
            float(saved_usd(read, cost["rates"])) if is_priced else None,
            int(loss["lost_tokens"]) if loss else 0,
            _usd(loss["lost"]) if loss else 0.0 if is_priced else None,
            _break(loss) if loss else None,
        )


def _break(loss: Mapping[str, Any]) -> Break:
    block = Block(BlockKind(loss["kind"]), int(loss["index"])) if "kind" in loss else None
    return Break(block, Cause(loss["cause"]), loss["since"])


def _rate(read: int, written: int, fresh: int) -> float | None:
    tokens = read + written + fresh
    return round(read / tokens, 4) if tokens else None


def _usd(amount: Any) -> float | None:
    """US dollars as a number, of a decimal that may be one of BSON."""
    if amount is None:
        return None
    return float(amount.to_decimal() if hasattr(amount, "to_decimal") else amount)
