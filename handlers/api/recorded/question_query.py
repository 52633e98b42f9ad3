"""The parameters of `GET /api/v2/aibridge/stats`, and the question that they ask. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Final, Literal

from msgspec import Meta

from handlers.operations.query import MAX_LIMIT, Offset, Ranged, Timestamp
from resources.fields import doc
from resources.ranges import OUT_OF_RANGE, Problems, zone_of
from storage.queries.questions import calendar
from storage.queries.questions.calendar import Period
from storage.queries.questions.question import OF_SUBJECT, By, Counted, Order, Question, names_of, parse_by

MAX_BUCKETS: Final = 1_500
MAX_DIMENSIONS: Final = 2
USUAL_SPAN: Final = timedelta(hours=24)
OLDEST_MINUTE: Final = timedelta(days=7)
"""How old requested minutes may be. They are kept for a little longer."""

CHANGE_OF_NOTHING: Final = "may be change only with compare=previous: it is the change against the time range before"


class QuestionQuery(Ranged, frozen=True):
    """What is counted, how it is grouped, and over which time."""

    from_: Annotated[
        Timestamp | None, doc("From then on, made earlier to a whole bucket; without it 24 hours before `to`.")
    ] = None
    to: Annotated[Timestamp | None, doc("Until before then, made later to a whole bucket; without it now.")] = None
    bucket: Annotated[
        Period,
        doc(
            f"How long one is; of at most {MAX_BUCKETS} from `from` to `to`. `all` is the whole range as one, in whole hours. "
            "Weeks begin on Monday."
        ),
    ] = Period.ALL
    group_by: Annotated[
        str,
        Meta(
            description=f"Up to two, with a comma: of calls {', '.join(names_of(Counted.CALLS))}; "
            f"of refusals {', '.join(names_of(Counted.REFUSALS))}; of sessions {', '.join(names_of(Counted.SESSIONS))}.",
            examples=["user,model"],
        ),
    ] = ""
    of: Annotated[Counted, doc("What is counted.")] = Counted.CALLS
    q: Annotated[
        str,
        Meta(
            description="A search, in the language of the list of the same things. Words without a key are searched for in the "
            "texts of calls.",
            examples=["model:gpt-5"],
        ),
    ] = ""
    order_by: Annotated[Order, doc("The sort order of groups, largest first. `change` needs `compare`.")] = Order.CALLS
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many groups.")] = 20
    offset: Offset = 0
    tz: Annotated[
        str,
        Meta(
            description="The time zone of `range` and of days, weeks and months, by its name of IANA.",
            examples=["Europe/Berlin"],
        ),
    ] = "UTC"
    compare: Annotated[
        Literal["previous"] | None,
        doc(
            "Puts `previous` beside each total: what it was in the time range before. Before whole months these are as many "
            "months, before whole days as many days, before anything else as much time. That of all has points."
        ),
    ] = None
    format: Annotated[
        Literal["json", "csv"], doc("A row of `csv` is a group, or with several buckets a group in one of them.")
    ] = "json"

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the groups, their order, and the range."""
        problems: Problems = []
        self._by(problems)
        if self.order_by is Order.CHANGE and not self.compare:
            problems.append(("order_by", CHANGE_OF_NOTHING))
        self._range(now, problems)
        return problems

    def question(self, now: datetime) -> Question:
        """What is asked, at the time `now`, of all that there is."""
        start, end = self._range(now, [])
        return Question(
            start,
            end,
            of=self.of,
            by=self._by([]),
            period=self.bucket,
            zone=zone_of(self.tz, []),
            order=self.order_by,
            limit=self.limit,
            offset=self.offset,
            compare=self.compare is not None,
        )

    def _by(self, problems: Problems) -> tuple[By, ...]:
        allowed = f"up to {MAX_DIMENSIONS} of {', '.join(names_of(self.of))}, separated by a comma"
        found: list[By] = []
        for name in filter(None, self.group_by.split(",")):
            try:
                by = parse_by(name)
            except ValueError:
                problems.append(("group_by", f"has {name!r}; it may have {allowed}"))
                return ()
            if by.dimension not in OF_SUBJECT[self.of]:
                problems.append(("group_by", f"has {name!r}, which {self.of} do not have; it may have {allowed}"))
                return ()
            if by not in found:
                found.append(by)
        if len(found) > MAX_DIMENSIONS:
            problems.append(("group_by", f"may have {allowed}"))
        return tuple(found)

    def _range(self, now: datetime, problems: Problems) -> tuple[datetime, datetime]:
        """The time range, made larger to whole buckets; its errors are added to the problems."""
        wrong, period, zone = len(problems), self.bucket, zone_of(self.tz, [])
        first, to, is_length = self.bounded(now, problems, lambda to: to - USUAL_SPAN)
        if len(problems) > wrong:
            return now, now
        try:
            # The buckets of a length of time are the present one and those before.
            start = (calendar.ceiling if is_length else calendar.floor)(period, first, zone)
            end = calendar.ceiling(period, to, zone)
            if len(list(islice(calendar.starts(period, start, end, zone), MAX_BUCKETS + 1))) > MAX_BUCKETS:
                problems.append(("bucket", f"the range has more than {MAX_BUCKETS:,} buckets"))
            earliest, _ = calendar.previous(start, end, zone)
        except OverflowError:
            problems.append(("to", OUT_OF_RANGE))
            return now, now
        compares = self.compare is not None
        if period is Period.MINUTE and (earliest if compares else start) < now - OLDEST_MINUTE - timedelta(minutes=1):
            which = "minutes, also of the time before," if compares else "minutes"
            problems.append(("from", f"{which} are kept for {OLDEST_MINUTE.days} days; choose a longer bucket"))
        return start, end
