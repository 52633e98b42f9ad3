"""Where the prompt cache of a session broke, and what that cost: each call beside the one before it. Pure: no I/O, no clock.

The calls of a session with one model of one provider, by one agent, are compared with one another. What is kept of them for
that is one document: up to `MAX_LINES` lines, each the last call of a conversation. A call goes on with the line with which
it shares the most messages. It lost what that one had cached and this one did not read, at most what it paid for instead.

Calls that ran at the same time, came late, reported no tokens, or whose blocks are unknown are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from bson.binary import Binary
from bson.decimal128 import Decimal128

from intercept.blocks import Blocks, first_difference, shared_messages, unpack
from storage.derived.rollup import TOKENS
from storage.mongo.codec import EXACT

MAX_LINES: Final = 4
"""Conversations of a session with one model that are gone on with, those with the latest calls."""

LIFETIME: Final = timedelta(minutes=5)
"""How long providers keep unused entries. Anthropic, OpenAI and Amazon document 5 minutes as the minimum."""

LONG_LIFETIME: Final = timedelta(hours=1)
"""The lifetime of entries written for an hour (Anthropic's models, `"ttl": "1h"`)."""

KEPT: Final = timedelta(days=3)
"""How long after its last call a line is kept, unless texts of its calls are removed before."""

_KEY_BYTES: Final = 16
_blocks = lru_cache(4 * MAX_LINES)(unpack)


class Lost(StrEnum):
    """Why what no block explains was not in the cache: its lifetime was over, or the provider removed it before that."""

    EXPIRED = "expired"
    EVICTED = "evicted"


def lines_id(session_id: Binary, call: Mapping[str, Any]) -> bytes | None:
    """Return the id of the document with the lines that a call may go on with; None where it is not compared."""
    if call.get("presumed") or "blocks" not in call or not any(call[name] for name in TOKENS):
        return None
    names = call["provider_name"], call["model"], (call.get("agent") or {}).get("id") or ""
    return sha256(b"\0".join([session_id, *[name.encode(errors="replace") for name in names]])).digest()[:_KEY_BYTES]


def compare(
    known: Mapping[str, Any] | None, calls: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[Binary, dict[str, Any]]]:
    """Compare calls with the ones before them.

    Args:
        known: The document with the lines; None if there is none yet.
        calls: At least one, oldest first, all of this document, see `lines_id`. `long_lived` says that something was
            written for an hour.

    Returns:
        The fields of the document; and what each call that lost something is recorded with, by its id: `lost_tokens`,
        `lost` in US dollars (None without a price), `cause`, `since` (the id of the call before), and where a block
        explains it `kind` and `index`.
    """
    lines: list[dict[str, Any]] = [dict(line) for line in known["lines"]] if known else []
    losses: dict[Binary, dict[str, Any]] = {}
    for call in calls:
        blocks = _blocks(call["blocks"])
        before = _line_of(lines, blocks)
        if before is not None:
            if call["started_at"] < before["from"]:
                continue
            if loss := _loss(before, call, blocks):
                losses[call["_id"]] = loss
            lines.remove(before)
        if (line := _line(call))["cached"]:
            lines.append(line)
            lines.sort(key=lambda line: line["at"])
            del lines[:-MAX_LINES]
    latest = max([calls[-1]["started_at"], *[line["at"] for line in lines]])
    # They have checksums of texts, which go when the texts do, all lines at once: so one that goes soon is left out.
    lines = [line for line in lines if not line.get("until") or line["until"] > latest + LONG_LIFETIME]
    ends = [latest + KEPT, *[line["until"] for line in lines if line.get("until")]]
    return {"lines": lines, "expires_at": min(ends)}, losses


def saved_usd(read: int, rates: Mapping[str, str]) -> Decimal:
    """What tokens that were read from the cache would have cost more outside it, in US dollars at the rates of a cost."""
    with localcontext(EXACT):
        return read * (Decimal(rates["input"]) - Decimal(rates["read"]))


def _line_of(lines: Sequence[dict[str, Any]], blocks: Blocks) -> dict[str, Any] | None:
    """Return the line that a call goes on with: of those with the most messages of it the latest one."""
    shared = [(shared_messages(_blocks(line["blocks"]), blocks), line["at"], at) for at, line in enumerate(lines)]
    most = max(shared, default=(0, None, 0))
    return lines[most[2]] if most[0] else None


def _line(call: Mapping[str, Any]) -> dict[str, Any]:
    read, written = call["cache_read_input_tokens"], call["cache_write_input_tokens"]
    return {
        "call": call["_id"],
        "at": call["started_at"],
        "from": call.get("first_byte_at") or call["ended_at"],
        "cached": read + written,
        "long": bool(call.get("long_lived")),
        "until": call.get("texts_until"),
        "blocks": call["blocks"],
    }


def _loss(before: Mapping[str, Any], call: Mapping[str, Any], blocks: Blocks) -> dict[str, Any] | None:
    read, written, fresh = (
        call[name] for name in ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens")
    )
    tokens = min(before["cached"] - read, written + fresh)
    if tokens <= 0:
        return None
    loss = {"lost_tokens": tokens, "lost": _lost_usd(call, tokens, min(tokens, written)), "since": before["call"]}
    if difference := first_difference(_blocks(before["blocks"]), blocks):
        return loss | {
            "cause": difference.change.value,
            "kind": difference.kind.value,
            "index": difference.index,
        }
    return loss | {"cause": _without_change(before, call["started_at"]).value}


def _without_change(before: Mapping[str, Any], at: datetime) -> Lost:
    lifetime = LONG_LIFETIME if before["long"] else LIFETIME
    return Lost.EXPIRED if at - before["at"] > lifetime else Lost.EVICTED


def _lost_usd(call: Mapping[str, Any], tokens: int, written: int) -> Decimal128 | None:
    """What a call paid for tokens, as many of them as written to the cache, above the price of reading them there."""
    rates = (call.get("cost") or {}).get("rates")
    if rates is None:
        return None
    with localcontext(EXACT):
        paid = written * Decimal(rates["written"]) + (tokens - written) * Decimal(rates["input"])
        return Decimal128(max(Decimal(), paid - tokens * Decimal(rates["read"])))
