"""What a session is: calls of one user that belong together, and what they add up to. Pure: no I/O, no clock.

Calls that name the same session of their client are one session, of that user alone; without such a name a conversation is
one (see `storage.derived.sessions.grouping`), and a call that goes on with no other is one by itself.

A session has one document: the sums of `SUMS` and `MONEY` over its calls that have ended, what those calls were made
with, and their first and last time. Calls are added in any order and any number at a time, with the same outcome. Ids are
as BSON holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from bson.binary import Binary
from bson.decimal128 import Decimal128

from intercept.ids import format_id
from intercept.records import Status
from storage.derived.rollup import TOKENS
from storage.mongo.codec import EXACT, binary, read_decimal, write_decimal
from storage.recording.documents import session_id_of

SUMS = ("interceptions", "failures", "threads", *TOKENS, "priced", "unpriced", "no_usage", "lost_tokens", "retries")
"""The whole numbers that calls add up to."""

MONEY = ("cost", "saved", "lost", "retry_cost")
"""Totals in US dollars: what calls cost, what the prompt cache saved and lost of it, and what earlier tries cost."""

MAX_NAMES = 50
"""How many models, providers and names of providers a session shows and is found by, the first in the alphabet."""

MAX_PROMPT = 1_000
"""How much of the first and the last prompt a session shows, in characters."""

_NAMES = {"providers": "provider", "provider_names": "provider_name", "models": "model"}
_NOTHING = Decimal128("0")


def session_of(call: Mapping[str, Any]) -> Binary:
    """Return the id of the session that a call belongs to, once it is known whether it is in a thread."""
    id_: Binary | None = call.get("session_id") or named_session(call)
    return id_ or call.get("root_id") or call["_id"]


def named_session(call: Mapping[str, Any]) -> Binary | None:
    """Return the id of the session that the client of a call names; None where it names none."""
    id_ = session_id_of(call["initiator_id"].as_uuid(), call["client_session_id"])
    return None if id_ is None else binary(id_)


def share(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call that has ended adds to its session, as BSON can hold it.

    Args:
        call: The document of an interception, with its figures. `repeated` is the call that it is a retry of, if that is
            known, with its `cost`.
    """
    loss = call.get("cache_loss") or {}
    return {
        "interceptions": 1,
        "failures": int(call["status"] == Status.FAILED),
        "threads": int("root_id" not in call),
        **{name: int(call.get(name) or 0) for name in TOKENS},
        **{name: int(call.get(name) or 0) for name in ("priced", "unpriced", "no_usage")},
        "lost_tokens": loss.get("lost_tokens", 0),
        "retries": int("attempt" in call),
        "cost": (call.get("cost") or {}).get("usd", _NOTHING),
        "saved": call.get("saved") or _NOTHING,
        "lost": loss.get("lost") or _NOTHING,
        "retry_cost": ((call.get("repeated") or {}).get("cost") or {}).get("usd", _NOTHING),
    }


def with_calls(session: Mapping[str, Any] | None, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document of a session when calls were added.

    Args:
        session: Its document; None if there is none yet.
        calls: At least one, see `share`, all of this session. `prompt` is the beginning of the prompt, empty if there is
            none; `replaced`, where a call was added before, is what it added then.
    """
    any_call, known = calls[0], session or {}
    id_ = session_of(any_call)
    own_name = format_id(id_.as_uuid())
    client_session_id = any_call["client_session_id"] or None
    first = min([*_pair(known, "started_at", "client"), *[(call["started_at"], call["client"]) for call in calls]])
    prompts = [(call["started_at"], call["prompt"]) for call in calls if call["prompt"]]
    first_prompt = min([*_pair(known, "first_prompt_at", "first_prompt"), *prompts], default=(None, None))
    last_prompt = max([*_pair(known, "last_prompt_at", "last_prompt"), *prompts], default=(None, None))
    ends = [known.get("last_active_at"), *[call[name] for call in calls for name in ("started_at", "ended_at")]]
    for call in calls:
        if "replaced" in call:  # its prompt may have been removed
            first_prompt, last_prompt = (
                (at, call["prompt"]) if at == call["started_at"] else (at, prompt)
                for at, prompt in (first_prompt, last_prompt)
            )
    return {
        "_id": id_,
        "initiator_id": any_call["initiator_id"],
        "client_session_id": client_session_id,
        "session_ids": [client_session_id, own_name] if client_session_id else [own_name],
        "client": first[1],
        **{
            names: sorted({*known.get(names, ()), *[call[name] for call in calls]})[:MAX_NAMES]
            for names, name in _NAMES.items()
        },
        "started_at": first[0],
        "last_active_at": max([end for end in ends if end]),
        **_sums(known, [share(call) for call in calls], [call["replaced"] for call in calls if "replaced" in call]),
        "first_prompt_at": first_prompt[0],
        "first_prompt": first_prompt[1],
        "last_prompt_at": last_prompt[0],
        "last_prompt": last_prompt[1],
    }


def _pair(session: Mapping[str, Any], at: str, name: str) -> list[tuple[datetime, str]]:
    return [(session[at], session[name])] if session.get(at) else []


def _sums(
    known: Mapping[str, Any], added: Sequence[Mapping[str, Any]], replaced: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    if len(added) == 1 and not known and not replaced:  # as most are, where clients name no session
        return dict(added[0])
    sums = {name: known.get(name, 0) + _total(added, name) - _total(replaced, name) for name in SUMS}
    with localcontext(EXACT):
        money = {name: write_decimal(_usd((known, *added), name) - _usd(replaced, name)) for name in MONEY}
    return {**sums, **money}


def _usd(shares: Iterable[Mapping[str, Any]], name: str) -> Decimal:
    return sum([read_decimal(part[name]) for part in shares if name in part], Decimal())


def _total(shares: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum([part[name] for part in shares])
