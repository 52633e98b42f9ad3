"""Where the answer to a question is read, and how MongoDB adds it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from bson.binary import UUID_SUBTYPE, Binary
from bson.decimal128 import Decimal128

from intercept.records import EndReason
from storage.derived.histograms import DIGIT_BITS, unpack
from storage.derived.rollup import HISTOGRAMS, MONEY, NO_GROUP, PLAIN, TOKENS, Totals
from storage.mongo.codec import read_decimal
from storage.mongo.indexes import (
    BY_ID,
    REFUSALS_BY_INITIATOR,
    REFUSALS_BY_TIME,
    SESSIONS_BY_INITIATOR,
    SESSIONS_BY_TIME,
    Keys,
)
from storage.queries.filters.selection import Selection, is_one_of
from storage.queries.paging import visible
from storage.queries.questions.groups import Key
from storage.queries.questions.question import Question, expression, has_many
from storage.queries.sessions import OF_SEVERAL

Stages = list[dict[str, Any]]

ID_BYTES: Final = 16

_LOSS: Final = ("lost_tokens", "lost")
_ENDS: Final = {f"end_{reason}": reason.value for reason in EndReason}
_FAILED: Final = {"$ne": ["$end_reason", EndReason.COMPLETED.value]}


class FigureSums(NamedTuple):
    """What documents of a kind add up to.

    Attributes:
        sums: The accumulator of each figure.
        histograms: The field of each histogram.
        add_up: Adds up what `$push` has collected of such a field.
    """

    sums: Mapping[str, Any]
    histograms: Mapping[str, str] = {}
    add_up: Callable[[Sequence[Any]], int] = len

    @property
    def names(self) -> list[str]:
        """The names of all of them."""
        return [*self.sums, *self.histograms]


def _plain(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$sum": f"${name}"} for name in names}


def _number_of(condition: Any) -> dict[str, Any]:
    return {"$sum": {"$cond": [condition, 1, 0]}}


def _of_buckets(pushed: Sequence[Any]) -> int:
    numbers = Counter(bucket for bucket in pushed if bucket is not None)
    return sum(number << DIGIT_BITS * int(bucket) for bucket, number in numbers.items())


OF_ROLLUPS: Final = FigureSums(
    _plain((*PLAIN, *MONEY)) | {name: {"$sum": f"$ends.{reason}"} for name, reason in _ENDS.items()},
    dict(zip(HISTOGRAMS, HISTOGRAMS, strict=True)),
    lambda pushed: sum(map(unpack, pushed)),
)
OF_RECORDS: Final = FigureSums(
    {
        **_plain((*TOKENS, *MONEY)),
        **{name: {"$sum": f"$cache_loss.{name}"} for name in _LOSS},
        **{name: _number_of({"$eq": ["$end_reason", reason]}) for name, reason in _ENDS.items()},
        **{name: _number_of(f"${name}") for name in ("priced", "unpriced", "no_usage")},
        "cost": {"$sum": "$cost.usd"},
        "interceptions": {"$sum": 1},
        "completed": _number_of({"$not": _FAILED}),
        "failed": _number_of(_FAILED),
    },
    {name: f"buckets.{name}" for name in HISTOGRAMS},
    _of_buckets,
)
OF_REFUSALS: Final = FigureSums({"refusals": {"$sum": "$count"}})
OF_SESSIONS: Final = FigureSums(
    {
        "sessions": {"$sum": 1},
        "failed": {"$sum": "$failures"},
        **_plain(("interceptions", "priced", "unpriced", "no_usage", "cost", "saved", *_LOSS, *TOKENS)),
    }
)


@dataclass(frozen=True)
class Source:
    """Documents, and what they have in common.

    Attributes:
        collection: Where they are.
        ranges: What bounds their time, of each part of the range.
        conditions: What they match in each of these ranges: what stands beside an `$or` would bound no index.
        index: By which they are found.
        figures: What they add up to.
        keys: By what they are grouped: names (`k0` ..) and expressions. What is the same for all is a `$literal`.
        several: Those of the keys of which a document may have several values.
        time: The field with their time.
        sign: -1 where they are taken away.
        times: Where it takes long: the time range, of which some hours are read at a time.
        ids: Where they were found before: their ids, one behind the other.
        indexes_of: By a field, the index by which the documents of some of its values are found, of as many at most.
        wanted: The values of keys that are meant, of those that no field has.
    """

    collection: str
    ranges: Sequence[Mapping[str, Any]]
    conditions: Mapping[str, Any]
    index: Keys
    figures: FigureSums
    keys: Mapping[str, Any]
    several: frozenset[str] = frozenset()
    time: str = "at"
    sign: int = 1
    times: tuple[datetime, datetime] | None = None
    ids: bytes | None = None
    indexes_of: Mapping[str, tuple[Keys, int]] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_scan(self) -> bool:
        """Whether it takes long, so that it is read in parts."""
        return self.times is not None

    @property
    def match(self) -> dict[str, Any]:
        """What MongoDB finds the documents by."""
        own = self.conditions
        if self.ids is not None:
            ids = (self.ids[at : at + ID_BYTES] for at in range(0, len(self.ids), ID_BYTES))
            own = {"_id": {"$in": [Binary(one, UUID_SUBTYPE) for one in ids]}, **own}
        parts = [{**one, **own} for one in self.ranges]
        return {"$or": parts} if len(parts) != 1 else parts[0]

    def within(self, start: datetime, end: datetime) -> Source:
        """Return the documents of a part of the time range."""
        return replace(self, ranges=[{self.time: {"$gte": start, "$lt": end}}])

    def of_groups(self, keys: Sequence[Key]) -> Source | None:
        """Return the documents of some groups, with perhaps a few others; None where there are surely none."""
        conditions, index, wanted = dict(self.conditions), self.index, {}
        for position, (name, value) in enumerate(self.keys.items()):
            if isinstance(value, dict) and "$literal" in value:
                keys = [key for key in keys if key[position] == value["$literal"]]
                continue
            values = list(dict.fromkeys(key[position] for key in keys))
            one_of = {"$in": [*values, NO_GROUP] if None in values else values}
            if not isinstance(value, str) or name in self.several:
                wanted[name] = one_of
            elif (plain := value[1:]) not in conditions:
                conditions[plain] = one_of
                better, most = self.indexes_of.get(plain, (index, 0))
                index = better if len(values) <= most else index
        return replace(self, conditions=conditions, index=index, wanted=wanted) if keys else None

    def grouped(self, names: Iterable[str], at: Any = None) -> Stages:
        """Have MongoDB group the documents and add up these figures.

        Args:
            names: Of the figures, which the rows have under the same names.
            at: An expression of the bucket of time, which stands first in `_id` of rows; None for the whole range.
        """
        id_: dict[str, Any] = {} if at is None else {"at": at}
        made: Stages = []
        if self.several or self.wanted:  # else nothing stands between documents and their groups: it takes half as long
            unwound = [{"$unwind": {"path": f"${name}", "preserveNullAndEmptyArrays": True}} for name in self.several]
            made = [{"$set": dict(self.keys)}, *unwound, *([{"$match": self.wanted}] if self.wanted else [])]
        id_ |= {name: f"${name}" for name in self.keys} if made else self.keys
        histograms = [name for name in names if name in self.figures.histograms]
        if histograms and self.figures is OF_ROLLUPS:  # so many that a document of 16 MiB has not room for all
            id_["part"] = {"$dateTrunc": {"date": f"${self.time}", "unit": "week"}}
        sums = {name: self.figures.sums[name] for name in names if name in self.figures.sums}
        pushed = {name: {"$push": f"${self.figures.histograms[name]}"} for name in histograms}
        return [{"$match": self.match}, *made, {"$group": {"_id": id_, **sums, **pushed}}]

    def key_of(self, id_: Mapping[str, Any]) -> Key:
        """Read what the documents of a row have in common."""
        values = (id_.get(name) for name in self.keys)
        return tuple([None if one == NO_GROUP else tuple(one) if isinstance(one, list) else one for one in values])

    def totals_of(self, row: Mapping[str, Any]) -> Totals:
        """Read the figures of a row. Those that are zero are left out."""
        totals: Totals = {}
        for name, value in row.items():
            number = self.figures.add_up(value) if name in self.figures.histograms else value
            if isinstance(number, Decimal128):
                number = read_decimal(number)
            if number and name != "_id":
                totals[f"ends.{_ENDS[name]}" if name in _ENDS else name] = number
        return totals


def _keys(question: Question) -> dict[str, Any]:
    return {f"k{position}": expression(question.of, by) for position, by in enumerate(question.by)}


def _several(question: Question) -> frozenset[str]:
    return frozenset(f"k{position}" for position, by in enumerate(question.by) if has_many(question.of, by))


def records(question: Question, selection: Selection, ids: bytes | None = None) -> Source:
    """The records of calls; with `ids` of these alone. Conditions are checked again, so an index may have found more."""
    conditions = selection.filter
    return Source(
        "interceptions",
        [{"started_at": conditions.pop("started_at")}],
        conditions,
        selection.index if ids is None else BY_ID,
        OF_RECORDS,
        _keys(question),
        _several(question),
        time="started_at",
        times=(selection.start, selection.end),
        ids=ids,
    )


def sessions(question: Question) -> Source:
    """The documents of sessions of several calls, by when these started."""
    own = visible(question.visible_to)
    is_one = is_one_of({**question.conditions, **own}.get("initiator_id"))
    return Source(
        "sessions",
        [{"started_at": {"$gte": question.start, "$lt": question.end}}],
        {"$and": [dict(question.conditions), own, dict(OF_SEVERAL)]},
        SESSIONS_BY_INITIATOR if is_one else SESSIONS_BY_TIME,
        OF_SESSIONS,
        _keys(question),
        _several(question),
        time="started_at",
        times=(question.start, question.end),
    )


def refusals(question: Question) -> Source:
    """The rows about refused requests."""
    real = {} if "shadow" in question.conditions else {"shadow": {"$ne": True}}
    return Source(
        "refusals",
        [{"at": {"$gte": question.start, "$lt": question.end}}],
        {"$and": [real, dict(question.conditions), visible(question.visible_to)]},
        REFUSALS_BY_TIME if question.visible_to is None else REFUSALS_BY_INITIATOR,
        OF_REFUSALS,
        _keys(question),
    )
