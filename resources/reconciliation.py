"""Where records and a provider's reports agree, and where not, with the likely reason; and what of them to compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta, Struct, field

from resources.bodies import Body, OtherReaders, Readers, one_of
from resources.fields import doc
from resources.prices import read_day_or_time
from resources.ranges import Problems, range_of
from resources.recorded.export_formats import write_csv
from storage.derived.rollup import Bucket
from storage.queries.found import RecordedDay
from upstream.reports.reported import READABLE, STANDARD, Reported, ReportedTokens, model_key

TOLERANCE: Final = Decimal("0.01")
"""US dollars by which costs may differ: providers round each line."""

LAG: Final = timedelta(days=2)
"""Days until a report is complete."""

_NOTHING: Final = ReportedTokens()


class Verdict(StrEnum):
    """Whether both sides say the same."""

    AGREES = "agrees"
    DIFFERS = "differs"


class Figures(Struct, frozen=True):
    """Tokens and cost of one side, or the difference: what is reported less what is recorded."""

    tokens: Annotated[int | None, doc("All of them; null if the report has none.")]
    input_tokens: int | None
    output_tokens: int | None
    cache_read_input_tokens: int | None
    cache_write_input_tokens: int | None
    cost_usd: float

    @classmethod
    def of(cls, tokens: ReportedTokens | None, usd: Decimal) -> Figures:
        """Show them, the cost to a millionth of a dollar."""
        cost = float(round(usd, 6))
        if tokens is None:
            return cls(None, None, None, None, None, cost)
        return cls(tokens.total, *tokens.counts, cost)


class Reconciled(Struct, frozen=True):
    """A day and a model, on both sides."""

    day: str
    model: str
    recorded: Figures
    reported: Figures
    difference: Figures
    verdict: Verdict
    reason: Annotated[str, doc("Why the two may differ; empty if they agree.")]


class Reconciliation(Struct, frozen=True):
    """The result of a comparison: a row for each day and model, in order."""

    provider: str
    from_: Annotated[str, doc("The first day, in UTC.")] = field(name="from")
    to: Annotated[str, doc("The day after the last one.")]
    agree: Annotated[int, Meta(ge=0, description="Rows that agree: within 0 tokens and 1 cent.")]
    differ: Annotated[int, Meta(ge=0, description="Rows that differ.")]
    results: list[Reconciled]

    @classmethod
    def of(cls, provider: str, start: date, end: date, rows: Sequence[Reconciled]) -> Reconciliation:
        """Show the days in [start, end)."""
        differ = sum(row.verdict is Verdict.DIFFERS for row in rows)
        return cls(provider, start.isoformat(), end.isoformat(), len(rows) - differ, differ, list(rows))

    def csv(self) -> bytes:
        """Write its rows as CSV."""
        sides = ("recorded", "reported", "difference")
        figures = [f"{side}_{figure}" for figure in ("tokens", "usd") for side in sides]
        head = ("day", "model", *figures, "verdict", "reason")
        rows = [head]
        for row in self.results:
            each = [getattr(row, side) for side in sides]
            cells = (*(one.tokens for one in each), *(one.cost_usd for one in each))
            rows.append((row.day, row.model, *cells, row.verdict, row.reason))
        return write_csv(rows)


class _Side(Struct):
    """Everything about a day and a model, before it is compared."""

    day: date
    key: str
    recorded: ReportedTokens = _NOTHING
    late: ReportedTokens = _NOTHING
    recorded_usd: Decimal = Decimal(0)
    calls: int = 0
    unpriced: int = 0
    reported: ReportedTokens | None = None
    reported_usd: Decimal = Decimal(0)
    is_reported: bool = False
    tiers: dict[str, ReportedTokens] = {}

    @property
    def difference(self) -> ReportedTokens | None:
        """Reported minus recorded; None if no tokens are reported."""
        if self.reported is None:
            return None if self.is_reported else -self.recorded
        return self.reported + -self.recorded

    @property
    def usd(self) -> Decimal:
        """Reported less recorded."""
        return self.reported_usd - self.recorded_usd


def reconcile(recorded: Sequence[RecordedDay], reported: Sequence[Reported], today: date) -> list[Reconciled]:
    """Compare by day and model, in their order. Names of one model are taken together, see `model_key`.

    Days are in UTC. The latest ones before `today` are not reported yet.
    """
    sides: dict[tuple[date, str], _Side] = {}
    for one in recorded:
        side = _side(sides, one.day, one.model)
        side.recorded += ReportedTokens(*one.tokens)
        side.late += ReportedTokens(*one.late)
        side.recorded_usd += one.usd
        side.calls += one.calls
        side.unpriced += one.unpriced
    for line in reported:
        _add_reported(sides, line)
    names = _names(recorded, reported)
    compared = [_compare(sides, side, names[side.key], today) for side in sides.values()]
    return sorted(compared, key=lambda row: (row.day, row.model))


def _add_reported(sides: dict[tuple[date, str], _Side], line: Reported) -> None:
    side = _side(sides, line.day, line.model)
    side.is_reported = True
    if line.tokens is not None:
        side.reported = line.tokens if side.reported is None else side.reported + line.tokens
        if line.tier != STANDARD:
            side.tiers[line.tier] = side.tiers.get(line.tier, _NOTHING) + line.tokens
    if line.usd is not None:
        side.reported_usd += line.usd


def _side(sides: dict[tuple[date, str], _Side], day: date, model: str) -> _Side:
    key = model_key(model)
    return sides.setdefault((day, key), _Side(day, key, tiers={}))


def _names(recorded: Iterable[RecordedDay], reported: Iterable[Reported]) -> Mapping[str, str]:
    """The name of each model in the result: as recorded, else as reported; of several the shortest."""
    names: dict[str, str] = {}
    for source in (recorded, reported):
        found: dict[str, str] = {}
        for one in source:
            key = model_key(one.model)
            found[key] = min(found.get(key, one.model), one.model, key=lambda name: (len(name), name))
        names = found | names
    return names


def _compare(sides: Mapping[tuple[date, str], _Side], side: _Side, model: str, today: date) -> Reconciled:
    difference = side.difference
    is_same = (difference is None or difference == _NOTHING) and abs(side.usd) <= TOLERANCE
    return Reconciled(
        side.day.isoformat(),
        model,
        Figures.of(side.recorded, side.recorded_usd),
        Figures.of(side.reported if side.is_reported else _NOTHING, side.reported_usd),
        Figures.of(difference, side.usd),
        Verdict.AGREES if is_same else Verdict.DIFFERS,
        "" if is_same else _reason(sides, side, difference, today),
    )


def _reason(
    sides: Mapping[tuple[date, str], _Side], side: _Side, difference: ReportedTokens | None, today: date
) -> str:
    if not side.is_reported:
        if side.day > today - LAG:
            return "not reported yet: reports are complete after two days"
        return "the report does not name this model: the key belongs to another account, or it is named otherwise there"
    if not side.calls:
        if side.reported is None:
            return "a charge that is not for tokens, or under a name that no call has"
        if neighbour := _balancing(sides, side, side.reported):
            return _edges(neighbour)
        return "calls past the bridge: none of this model is recorded on this day"
    if difference is not None and difference != _NOTHING:
        return _reason_of_tokens(sides, side, difference, today)
    return _reason_of_cost(side)


def _reason_of_tokens(
    sides: Mapping[tuple[date, str], _Side], side: _Side, difference: ReportedTokens, today: date
) -> str:
    if neighbour := _balancing(sides, side, difference):
        return _edges(neighbour)
    if side.late != _NOTHING and difference == -side.late:
        return _edges(side.day + timedelta(days=1))
    for tier, tokens in side.tiers.items():
        if tokens == difference:
            return f"{tier} prices: as many tokens are reported at this tier, and their results were not fetched here"
    if min(difference.counts) >= 0:
        return "calls past the bridge: more is reported than recorded"
    if max(difference.counts) <= 0:
        if side.day > today - LAG:
            return "not reported yet: reports are complete after two days"
        return "less is reported than recorded: some calls were billed to another account"
    return "tokens are counted otherwise: of some kinds more are reported, of others less"


def _reason_of_cost(side: _Side) -> str:
    if side.unpriced and side.usd > 0:
        return f"unpriced: {side.unpriced} of {side.calls} calls have no known price here"
    if side.tiers:
        tiers = ", ".join(sorted(side.tiers))
        return f"{tiers} prices: {sum(one.total for one in side.tiers.values())} tokens are billed at them"
    return "other prices: the tokens agree, the price for them does not; see own prices"


def _balancing(sides: Mapping[tuple[date, str], _Side], side: _Side, difference: ReportedTokens) -> date | None:
    """The day before or after whose difference makes up for this one; None where neither does."""
    if difference == _NOTHING:
        return None
    for days in (-1, 1):
        other = sides.get((side.day + timedelta(days=days), side.key))
        if other is not None and other.difference == -difference:
            return other.day
    return None


def _edges(day: date) -> str:
    return f"clock edges: what is missing here is too much on {day}, as calls ran over midnight in UTC"


MAX_DAYS: Final = 93
"""The days that one request may be about: a quarter."""

MAX_NAMES: Final = 100


def _day(text: str) -> datetime | None:
    return read_day_or_time(text) if text else None


def _provider_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_NAMES or not all(isinstance(one, str) for one in value):
        raise ValueError(f"must be a list of at most {MAX_NAMES} names")
    return tuple(dict.fromkeys(value))


class ReconciliationBody(Body, omit_defaults=True):
    """Whose reports are read, and for which days."""

    provider: Literal["openai", "anthropic"]
    from_: Annotated[
        str, doc("The first day, such as `2026-11-01`, in UTC. Without it the first one of the month.")
    ] = field(name="from", default="")
    to: Annotated[
        str, doc(f"The day after the last one, at most {MAX_DAYS} days later. Without it the present day.")
    ] = ""
    names: Annotated[
        list[str],
        Meta(
            max_length=MAX_NAMES, description="Only calls of the providers with these names; of all where it is empty."
        ),
    ] = field(default_factory=list)

    readers: ClassVar[Readers] = {"provider": one_of(READABLE), "from": _day, "to": _day}
    other_readers: ClassVar[OtherReaders] = {"names": _provider_names}

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the days."""
        problems: Problems = []
        start, end = self.days(now, problems)
        if end - start > timedelta(days=MAX_DAYS):
            problems.append(("to", f"must be at most {MAX_DAYS} days after from"))
        return problems

    def days(self, now: datetime, problems: Problems) -> tuple[datetime, datetime]:
        """Return the start and the end in whole days, at the time `now`; what is wrong becomes problems."""
        first: Any = self.from_ or None  # the readers have made times of its texts
        last: Any = self.to or None
        day = Bucket.DAY
        start, end = range_of(
            first,
            last,
            problems,
            now=day.floor(now),
            usual=lambda to: (day.ceiling(to) - day.length).replace(day=1),
        )
        return day.floor(start), day.ceiling(end)
