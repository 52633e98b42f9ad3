"""The search language of the list of interceptions. Pure: text in, a MongoDB filter out.

Words outside double quotes are separated by spaces. `key:value` narrows the list, and a value may be quoted; it must be
if it has a colon or a space, as timestamps do. Keys are read in any case. A bare word that has the form of an id finds
the call of that id; the other bare words together name the initiator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from msgspec import Struct

from intercept.records import Status

_ENDED = [Status.COMPLETED.value, Status.FAILED.value]

# A word is quoted pieces and plain pieces, in any order, without a space between them.
_WORD = re.compile(r'(?:"[^"]*"|[^" ])+')
_PIECE = re.compile(r'"([^"]*)"|([^":]+)|(:)')

# Ids of interceptions and what providers call requests and responses: a UUID, 32 digits, a prefix as in `msg_01X..`, with
# Ollama a prefix and a number, and with Gemini 16 bytes or a few more in base64, whose many capitals hardly anybody's name has.
# `dashboard/js/query.js` reads them alike.
_ID = re.compile(
    r"(?i:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}"
    r"|(?:req|resp|msg|chatcmpl|cmpl|gen|modr|msgbatch)[_-][\w-]{8,256}|(?:resp|msg|chatcmpl|cmpl)[_-][0-9]{1,8})"
    r"|(?=[\w-]*[a-z])(?=(?:[\w-]*?[A-Z]){4})[\w-]{22,28}",
    re.ASCII,
)

# RFC 3339, section 5.6. What `datetime.fromisoformat` takes besides is not a timestamp here.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Validation(NamedTuple):
    """What is wrong with a search, and in which key of it; `q` stands for the whole."""

    field: str
    detail: str


Kind: TypeAlias = Callable[[str, str, list[Validation]], Any]
"""Gives the text of a key its type. Text that has none becomes None, and a problem is added to the list."""

E = TypeVar("E", bound=StrEnum)


class InvalidSearchError(ValueError):
    """The search has no meaning. `validations` has everything that is wrong with it."""

    def __init__(self, validations: list[Validation]) -> None:
        super().__init__("; ".join(validation.detail for validation in validations))
        self.validations = validations


class Search(Struct, frozen=True, kw_only=True):
    """What interceptions must have in common; None asks nothing. Both times belong to what is found.

    `initiator` is as it was written: `me`, a UUID or a username. `request_id` is our id or any the provider gave.
    """

    initiator: str | None = None
    provider: str | None = None
    provider_name: str | None = None
    model: str | None = None
    client: str | None = None
    session_id: str | None = None
    status: Status | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    request_id: str | None = None

    def filter(self, *, initiator_id: UUID | None, in_flight: bool = False) -> dict[str, Any]:
        """Return the MongoDB filter, for the initiator that `initiator` was found to be.

        Every value in it is a string, a UUID or a time, so none can act as an operator. Interceptions in flight are
        left out unless a status or an id is asked for, or `in_flight` says that they are not to be.

        Raises:
            ValueError: There is an `initiator`, and it was not found out who that is.
        """
        if self.initiator is not None and initiator_id is None:
            raise ValueError(f"nobody was found for the initiator {self.initiator}")
        wanted = {
            "initiator_id": initiator_id,
            "provider": self.provider,
            "provider_name": self.provider_name,
            "model": self.model,
            "client": self.client,
            "client_session_id": self.session_id,
            "request_ids": self.request_id,
            "status": self.status and self.status.value,
        }
        conditions: dict[str, Any] = {field: value for field, value in wanted.items() if value is not None}
        times = {"$gte": self.started_after, "$lte": self.started_before}
        if bounds := {operator: time for operator, time in times.items() if time is not None}:
            conditions["started_at"] = bounds
        if self.status is None and self.request_id is None and not in_flight:
            conditions["status"] = {"$in": _ENDED}
        return conditions


def parse_search(q: str) -> Search:
    """Read a search.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    return Search(**read_values(q, _KINDS, id_key="request_id"))


def read_values(q: str, kinds: Mapping[str, Kind], *, id_key: str | None = None) -> dict[str, Any]:
    """Read the words of a search into values by key.

    Args:
        q: The search.
        kinds: What gives the text of each key its type.
        id_key: The key that a bare word with the form of an id belongs to; None where it belongs to the initiator.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    problems: list[Validation] = []
    words_by_key = _words_by_key(q, problems, id_key)
    values = {key: _value(key, texts, kinds, problems) for key, texts in words_by_key.items()}
    after, before = values.get("started_after"), values.get("started_before")
    if after and before and not after < before:
        problems.append(Validation("started_before", 'Query param "started_before" must be after "started_after"'))
    if problems:
        raise InvalidSearchError(problems)
    return values


def _words_by_key(q: str, problems: list[Validation], id_key: str | None) -> dict[str, list[str]]:
    """Sort the words of a search by the key they belong to."""
    if q.count('"') % 2:
        problems.append(Validation("q", "A double quote is not closed"))
        return {}
    words_by_key: dict[str, list[str]] = {}
    bare: list[str] = []
    for word in _WORD.findall(q):
        match _split(word):
            case [text] if id_key and _ID.fullmatch(text):
                words_by_key.setdefault(id_key, []).append(text)
            case [text]:
                bare.append(text)
            case [key, text] if key and text:
                words_by_key.setdefault(key.lower(), []).append(text)
            case ["", *_] | [*_, ""]:
                problems.append(Validation("q", f"Query element {word} cannot start or end with ':'"))
            case _:
                problems.append(Validation("q", f"Query element {word} can only contain 1 ':'; quote its value"))
    if bare:
        words_by_key.setdefault("initiator", []).append(" ".join(bare))
    return words_by_key


def _split(word: str) -> list[str]:
    """Split a word at the colons outside its quotes, which are dropped."""
    pieces = [""]
    for quoted, plain, colon in _PIECE.findall(word):
        if colon:
            pieces.append("")
        else:
            pieces[-1] += quoted or plain
    return pieces


def _value(key: str, texts: Sequence[str], kinds: Mapping[str, Kind], problems: list[Validation]) -> Any:
    """Give the text of a key its type; what has none becomes None and a problem."""
    if key not in kinds:
        problems.append(Validation(key, f'"{key}" is not a valid query param'))
    elif len(texts) > 1:
        detail = f'Query param "{key}" provided more than once, found {len(texts)} times'
        problems.append(Validation(key, detail))
    else:
        return kinds[key](key, texts[0], problems)
    return None


def read_text(_key: str, text: str, _problems: list[Validation]) -> str:
    """Take any text."""
    return text


def one_of(allowed: type[E]) -> Callable[[str, str, list[Validation]], E | None]:
    """Return what reads one of these words."""

    def read(key: str, text: str, problems: list[Validation]) -> E | None:
        if text in list(allowed):
            return allowed(text)
        words = ", ".join(allowed)
        problems.append(Validation(key, f'Query param "{key}" has invalid value "{text}": allowed are {words}'))
        return None

    return read


def read_time(key: str, text: str, problems: list[Validation]) -> datetime | None:
    """Read a timestamp. Records have whole milliseconds, so one that must come after it may come at the next."""
    try:
        time = parse_timestamp(text)
        if beyond := time.microsecond % 1000:
            time += timedelta(microseconds=1000 - beyond if key == "started_after" else -beyond)
    except (ValueError, OverflowError):
        detail = f'Query param "{key}" must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)'
        problems.append(Validation(key, detail))
        return None
    return time


_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(Search.__struct_fields__, read_text),
    "status": one_of(Status),
    "started_after": read_time,
    "started_before": read_time,
}


def parse_timestamp(text: str) -> datetime:
    """Read a time; the result is in UTC.

    Raises:
        ValueError, OverflowError: It is no RFC 3339 time, or is outside the years 1 to 9999.
    """
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"not a timestamp: {text}")
    return datetime.fromisoformat(text.upper()).astimezone(UTC)
