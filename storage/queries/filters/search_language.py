"""The search language of the lists of interceptions and refusals. Pure: text in, a MongoDB filter out.

Words outside double quotes are separated by spaces. `key:value` narrows the list, `key:a,b` asks for one of several values, and
`-key:value` for what is not so. A value may be quoted; it must be if it has a colon, a comma or a space, as timestamps do. Keys
and ids are read in any case; `initiator` is another name of `user`. A bare word that has the form of an id finds the call of
that id; the other bare words are searched for in texts, see `storage.queries.filters.texts`. Of refusals they name the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from intercept.records import Status
from storage.mongo.codec import EPOCH
from storage.queries.filters.keys import (
    KEYS,
    REFUSAL_KEYS,
    Conditions,
    Key,
    Kind,
    Term,
    read_ago,
    read_first_time,
    read_time,
)
from storage.queries.filters.named_ranges import named_range, read_zone
from storage.queries.filters.texts import TextQuery
from storage.queries.filters.words import InvalidSearchError, SearchProblem, Word, read_words

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
    """What calls or refusals must have in common. Both times belong to what is found; None is any.

    `texts` is what a call must say.
    """

    started_after: datetime | None = None
    started_before: datetime | None = None
    terms: tuple[Term, ...] = ()
    texts: TextQuery | None = None

    def only(self, key: str) -> Any:
        """Return the one value that a key has to have; None where there is none, or several are allowed."""
        values = [value for term in self.terms if term.key == key and not term.negated for value in term.values]
        return values[0] if len(values) == 1 else None

    def asks_for(self, key: str) -> bool:
        """Whether a key has to have one of some values."""
        return any(term.key == key and not term.negated for term in self.terms)

    def during(self, field: str) -> dict[str, Any]:
        """Return what finds documents by their time."""
        times = {"$gte": self.started_after, "$lte": self.started_before}
        bounds = {operator: at for operator, at in times.items() if at is not None}
        return {field: bounds} if bounds else {}

    def filter(self) -> dict[str, Any]:
        """Return the MongoDB filter of calls; names have become ids. It leaves `texts` out.

        No value in it can act as an operator. Interceptions in flight are left out unless a status or an id is requested.

        Raises:
            ValueError: It names a user, and it was not found out who that is.
        """
        fields = self.during("started_at")
        if not (self.asks_for("status") or self.asks_for("request_id")):
            fields["status"] = {"$in": list(_ENDED)}
        return self._filter(fields, KEYS)

    def refusal_filter(self) -> dict[str, Any]:
        """Return the MongoDB filter of a search for refusals, of `parse_refusal_search`.

        Raises:
            ValueError: It names a user, and it was not found out who that is.
        """
        return self._filter(self.during("at"), REFUSAL_KEYS)

    def _filter(self, fields: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, Any]:
        conditions = Conditions(fields)
        for term in self.terms:
            if term.key == "user" and not all(isinstance(one, UUID) for one in term.values):
                raise ValueError(f"it was not found out who is {', '.join(map(str, term.values))}")
            conditions.add(keys[term.key], term)
        return conditions.filter


def parse_search(q: str, *, now: datetime | None = None) -> Search:
    """Read a search for calls. `since`, `until` and `range` are those of `now`; without it of the time of the clock.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    problems: list[SearchProblem] = []
    by_key = _by_key(read_words(q, problems))
    texts = TextQuery.of(by_key.pop("", ()), problems)
    return _search(by_key, KEYS, problems, now, texts)


def parse_refusal_search(q: str, *, now: datetime | None = None) -> Search:
    """Read a search for refusals, in which bare words that are no id together name the user.

    Raises:
        InvalidSearchError: It is not one; everything that is wrong is named.
    """
    problems: list[SearchProblem] = []
    by_key = _by_key(read_words(q, problems))
    if bare := by_key.pop("", None):
        name = " ".join("-" * word.negated + word.text for word in bare)
        by_key.setdefault("user", []).append(Word("user", (name,)))
    return _search(by_key, REFUSAL_KEYS, problems, now)


def refusals_of(search: Search) -> dict[str, Any] | None:
    """Return the filter of the refusals that a search for calls means too; None if it has terms that refusals do not have.

    A search for failed calls means refusals as well.
    """
    made = Conditions(search.during("at"))
    for term in search.terms:
        if (field := _REFUSALS_OF_CALLS.get(term.key)) is not None:
            made.add_to(field, term)
        elif not (term.negated or (term.key == "status" and Status.FAILED in term.values)):
            return None
    return made.filter


def _by_key(words: Sequence[Word]) -> dict[str, list[Word]]:
    """Sort words by the key they belong to."""
    by_key: dict[str, list[Word]] = {}
    for word in words:
        key = word.key or ("request_id" if _ID.fullmatch(word.text) else "")
        by_key.setdefault("user" if key == "initiator" else key, []).append(word)
    return by_key


def _search(
    by_key: Mapping[str, Sequence[Word]],
    keys: Mapping[str, Key],
    problems: list[SearchProblem],
    now: datetime | None,
    texts: TextQuery | None = None,
) -> Search:
    times: dict[str, Any] = {}
    terms: list[Term] = []
    for key, words in by_key.items():
        if key in keys:
            terms += _terms(key, keys[key], words, problems)
        elif key not in _TIMES:
            allowed = ", ".join((*keys, *_TIMES))
            problems.append(SearchProblem(key, f'"{key}" is not a valid query param: allowed are {allowed}'))
        elif any(word.negated or len(word.values) > 1 for word in words):
            problems.append(SearchProblem(key, f'Query param "{key}" has one value, and cannot be negated'))
        elif len(words) > 1:
            problems.append(_repeated(key, len(words)))
        else:
            times.update(zip([key], _read(key, _TIMES[key], [words[0].text], problems), strict=False))
    _make_absolute(times, now or datetime.now(UTC), problems)
    _check_order(times, problems)
    if problems:
        raise InvalidSearchError(problems)
    return Search(**times, terms=tuple(terms), texts=texts)


def _terms(name: str, key: Key, words: Sequence[Word], problems: list[SearchProblem]) -> list[Term]:
    """Read the words of a key that may have several values."""
    several = [word for word in words if not word.negated]
    if len(several) > 1 and not (key.figure or key.is_tag):
        problems.append(_repeated(name, len(several)))
        return []
    if key.figure and any(len(word.values) > 1 for word in words):
        detail = f'Query param "{name}" has one value; give it again to ask for a range, as in {name}:>1 {name}:<5'
        problems.append(SearchProblem(name, detail))
        return []
    return [Term(name, tuple(_read(name, key.kind, word.values, problems)), word.negated) for word in words]


def _read(key: str, kind: Kind, texts: Sequence[str], problems: list[SearchProblem]) -> list[Any]:
    """Give texts their type; those that have none become problems."""
    values: list[Any] = []
    for text in texts:
        try:
            values.append(kind(text))
        except ValueError as error:
            problems.append(SearchProblem(key, f'Query param "{key}" {error}'))
    return values


def _make_absolute(values: dict[str, Any], now: datetime, problems: list[SearchProblem]) -> None:
    """Turn `since`, `until` and `range` into times."""
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    zone, name = values.pop("tz", UTC), values.pop("range", None)
    if others := [key for key in _OTHER_TIMES if key in values] if name else []:
        problems.append(SearchProblem("range", f'Query params "range" and "{others[0]}" cannot be used together'))
    elif name:
        _add_range(values, name, zone, now, problems)
    for relative, absolute in (("since", "started_after"), ("until", "started_before")):
        if relative not in values:
            continue
        ago: timedelta = values.pop(relative)
        if absolute in values:
            problems.append(
                SearchProblem(relative, f'Query params "{relative}" and "{absolute}" cannot be used together')
            )
        else:
            values[absolute] = now - min(ago, now - EPOCH)


def _add_range(values: dict[str, Any], name: str, zone: tzinfo, now: datetime, problems: list[SearchProblem]) -> None:
    try:
        start, end, _ = named_range(name, zone, now)
    except ValueError as error:
        problems.append(SearchProblem("range", f'Query param "range" {error}'))
        return
    values["started_after"] = start
    if end is not None:
        values["started_before"] = end - timedelta(milliseconds=1)


def _check_order(values: Mapping[str, Any], problems: list[SearchProblem]) -> None:
    after, before = values.get("started_after"), values.get("started_before")
    if after and before and not after < before:
        problems.append(SearchProblem("started_before", 'Query param "started_before" must be after "started_after"'))


def _repeated(key: str, times: int) -> SearchProblem:
    return SearchProblem(key, f'Query param "{key}" provided more than once, found {times} times')


_OTHER_TIMES: Final = ("since", "until", "started_after", "started_before")
_TIMES: Final[Mapping[str, Kind]] = {
    "started_after": read_first_time,
    "started_before": read_time,
    "since": read_ago,
    "until": read_ago,
    "range": str,
    "tz": read_zone,
}
_REFUSALS_OF_CALLS: Final[Mapping[str, str]] = {
    "user": "initiator_id",
    "provider_name": "provider",
    "model": "model",
    "token": "api_key_id",
    "http": "status",
}
SEARCH_KEYS: Final = (*KEYS, *_TIMES)
"""Every key of a search for calls, those of times too."""

REFUSAL_SEARCH_KEYS: Final = (*REFUSAL_KEYS, *_TIMES)
"""Every key of a search for refusals, those of times too."""
