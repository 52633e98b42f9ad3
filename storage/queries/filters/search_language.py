"""The search language of the list of interceptions. Pure: text in, a MongoDB filter out.

Words outside double quotes are separated by spaces. `key:value` narrows the list, `key:a,b` asks for one of several values, and
`-key:value` for what is not so. A value may be quoted; it must be if it has a colon, a comma or a space, as timestamps do. Keys
and ids are read in any case; `initiator` is another name of `user`. A bare word that has the form of an id finds the call of
that id; the other bare words are searched for in texts, see `storage.queries.filters.texts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from intercept.ids import in_any_case
from intercept.records import Status
from storage.mongo.codec import EPOCH
from storage.queries.filters.keys import KEYS, Conditions, Term, plain_conditions
from storage.queries.filters.kinds import Kind, one_of, read_ago, read_first_time, read_time
from storage.queries.filters.named_ranges import named_range, read_zone
from storage.queries.filters.texts import TextQuery
from storage.queries.filters.words import InvalidSearchError, Validation, Word, read_words

_ENDED = [Status.COMPLETED.value, Status.FAILED.value]

# Ids of interceptions and what providers call requests and responses: a UUID, 32 digits, a prefix as in `msg_01X..`, with
# Ollama a prefix and a number, and with Gemini 16 bytes or a few more in base64, whose many capitals hardly anybody's name has.
# `dashboard/js/bar/query.js` reads them alike.
_ID = re.compile(
    r"(?i:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}"
    r"|(?:req|resp|msg|chatcmpl|cmpl|gen|modr|msgbatch)[_-][\w-]{8,256}|(?:resp|msg|chatcmpl|cmpl)[_-][0-9]{1,8})"
    r"|(?=[\w-]*[a-z])(?=(?:[\w-]*?[A-Z]){4})[\w-]{22,28}",
    re.ASCII,
)


class Search(Struct, frozen=True, kw_only=True):
    """What interceptions must have in common; None is any value. Both times belong to what is found.

    `user` is as it was written: `me`, a UUID or a username. `request_id` is our id or any the provider gave.
    `terms` are all keys that have several values or are negated, and those that have no field here. `texts` is what the
    call must say.
    """

    user: str | None = None
    provider: str | None = None
    provider_name: str | None = None
    model: str | None = None
    client: str | None = None
    session_id: str | None = None
    status: Status | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    request_id: str | None = None
    terms: tuple[Term, ...] = ()
    texts: TextQuery | None = None

    def filter(self, *, initiator_id: UUID | None, in_flight: bool = False) -> dict[str, Any]:
        """Return the MongoDB filter, for the id that `user` was found to be. It leaves `texts` out.

        No value in it can act as an operator. Interceptions in flight are left out unless a status or an id is requested, or
        `in_flight` says that they are not to be.

        Raises:
            ValueError: There is a `user`, and it was not found out who that is.
        """
        if self.user is not None and initiator_id is None:
            raise ValueError(f"nobody was found for the user {self.user}")
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
        fields = plain_conditions(wanted, "started_at", self.started_after, self.started_before)
        keys = {term.key for term in self.terms if not term.negated}
        if self.status is None and self.request_id is None and not in_flight and not keys & {"status", "request_id"}:
            fields["status"] = {"$in": list(_ENDED)}
        conditions = Conditions(fields)
        for term in self.terms:
            conditions.add(term)
        return conditions.filter


def parse_search(q: str, *, now: datetime | None = None) -> Search:
    """Read a search. `since`, `until` and `range` are those of `now`; without it of the time of the clock.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    problems: list[Validation] = []
    values: dict[str, Any] = {}
    terms: list[Term] = []
    by_key = _by_key(read_words(q, problems))
    texts = TextQuery.of(by_key.pop("", ()), problems)
    for key, words in by_key.items():
        if key in _READERS and not any(word.negated or len(word.values) > 1 for word in words):
            values[key] = _single_value(key, [word.text for word in words], _READERS, problems)
        else:
            terms += _terms(key, words, problems)
    _make_absolute(values, now or datetime.now(UTC), problems)
    _check_order(values, problems)
    if problems:
        raise InvalidSearchError(problems)
    return Search(**values, terms=tuple(terms), texts=texts)


def read_values(q: str, kinds: Mapping[str, Kind], *, now: datetime | None = None) -> dict[str, Any]:
    """Read the words of a search that has one value for each key, by key; bare words that are no id together name the user.

    A range is that of `now`; without it of the time of the clock.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    problems: list[Validation] = []
    values: dict[str, Any] = {}
    by_key = _by_key(read_words(q, problems))
    if bare := by_key.pop("", None):
        name = " ".join("-" * word.negated + word.text for word in bare)
        by_key.setdefault("user", []).append(Word("user", (name,)))
    for key, words in by_key.items():
        if key in kinds and any(word.negated or len(word.values) > 1 for word in words):
            problems.append(_single(key))
        else:
            values[key] = _single_value(key, [word.text for word in words], kinds, problems)
    _make_absolute(values, now or datetime.now(UTC), problems)
    _check_order(values, problems)
    if problems:
        raise InvalidSearchError(problems)
    return values


def _by_key(words: Sequence[Word]) -> dict[str, list[Word]]:
    """Sort words by the key they belong to."""
    by_key: dict[str, list[Word]] = {}
    for word in words:
        key = word.key or ("request_id" if _ID.fullmatch(word.text) else "")
        by_key.setdefault("user" if key == "initiator" else key, []).append(word)
    return by_key


def _terms(key: str, words: Sequence[Word], problems: list[Validation]) -> list[Term]:
    """Read the words of a key that may have several values."""
    if key not in KEYS:
        if key in _READERS:
            problems.append(_single(key))
        else:
            problems.append(_unknown(key, SEARCH_KEYS))
        return []
    several = [word for word in words if not word.negated]
    if len(several) > 1 and not (KEYS[key].figure or KEYS[key].is_tag):
        problems.append(_repeated(key, len(several)))
        return []
    if KEYS[key].figure and any(len(word.values) > 1 for word in words):
        detail = f'Query param "{key}" has one value; give it again to ask for a range, as in {key}:>1 {key}:<5'
        problems.append(Validation(key, detail))
        return []
    terms: list[Term] = []
    for word in words:
        values = [_read(key, KEYS[key].kind, value, problems) for value in word.values]
        if not any(value is None for value in values):
            terms.append(Term(key, tuple(values), word.negated))
    return terms


def _single_value(key: str, texts: Sequence[str], kinds: Mapping[str, Kind], problems: list[Validation]) -> Any:
    """Give the text of a key its type; what has none becomes None and a problem."""
    if key not in kinds:
        problems.append(_unknown(key, tuple(kinds)))
    elif len(texts) > 1:
        problems.append(_repeated(key, len(texts)))
    else:
        return _read(key, kinds[key], texts[0], problems)
    return None


def _read(key: str, kind: Kind, text: str, problems: list[Validation]) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        problems.append(Validation(key, f'Query param "{key}" {error}'))
    return None


def _make_absolute(values: dict[str, Any], now: datetime, problems: list[Validation]) -> None:
    """Turn `since`, `until` and `range` into times."""
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    zone, name = values.pop("tz", None) or UTC, values.pop("range", None)
    if others := [key for key in _OTHER_TIMES if key in values] if name else []:
        problems.append(Validation("range", f'Query params "range" and "{others[0]}" cannot be used together'))
    elif name:
        _add_range(values, name, zone, now, problems)
    for relative, absolute in (("since", "started_after"), ("until", "started_before")):
        if relative not in values:
            continue
        ago: timedelta | None = values.pop(relative)
        if absolute in values:
            problems.append(Validation(relative, f'Query params "{relative}" and "{absolute}" cannot be used together'))
        elif ago is not None:
            values[absolute] = now - min(ago, now - EPOCH)


def _add_range(values: dict[str, Any], name: str, zone: tzinfo, now: datetime, problems: list[Validation]) -> None:
    try:
        start, end, _ = named_range(name, zone, now)
    except ValueError as error:
        problems.append(Validation("range", f'Query param "range" {error}'))
        return
    values["started_after"] = start
    if end is not None:
        values["started_before"] = end - timedelta(milliseconds=1)


def _check_order(values: Mapping[str, Any], problems: list[Validation]) -> None:
    after, before = values.get("started_after"), values.get("started_before")
    if after and before and not after < before:
        problems.append(Validation("started_before", 'Query param "started_before" must be after "started_after"'))


def _unknown(key: str, allowed: Sequence[str]) -> Validation:
    return Validation(key, f'"{key}" is not a valid query param: allowed are {", ".join(allowed)}')


def _single(key: str) -> Validation:
    return Validation(key, f'Query param "{key}" has one value, and cannot be negated')


def _repeated(key: str, times: int) -> Validation:
    return Validation(key, f'Query param "{key}" provided more than once, found {times} times')


RANGE_KINDS: Final[Mapping[str, Kind]] = {"range": str, "tz": read_zone}
"""The keys of a named range, and what reads them."""

_OTHER_TIMES: Final = ("since", "until", "started_after", "started_before")
_READERS: Final[Mapping[str, Kind]] = {
    **{name: str for name in Search.__struct_fields__ if name not in {"terms", "texts"}},
    "status": one_of(Status),
    "request_id": in_any_case,
    "started_after": read_first_time,
    "started_before": read_time,
    "since": read_ago,
    "until": read_ago,
    **RANGE_KINDS,
}
SEARCH_KEYS: Final = tuple(dict.fromkeys((*_READERS, *KEYS)))
"""Every key of a search, those of times too."""
