"""What calls, refusals and sessions add up to, as JSON or CSV; the names they have, and why calls failed or were refused."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta, structs

from handlers.api.recorded.interceptions import AfterId
from handlers.api.recorded.visibility import NOT_FOR_READERS, SearchText, Sight
from handlers.operations.operation import Ask, Download, Operation, Report, operation
from handlers.operations.problems import INVALID_SEARCH
from handlers.operations.query import INVALID, MAX_LIMIT, Limit, Offset, Paged, Ranged, Timestamp
from handlers.problems import ValidationProblem
from intercept.records import Status
from intercept.times import format_time
from resources.fields import ListPage, Names, doc
from resources.ranges import OUT_OF_RANGE, Problems, zone_of
from resources.recorded.export_formats import CSV_TYPE
from resources.recorded.failures import ErrorKind, ErrorList, RecordedRefusal, named
from resources.recorded.statistics import Statistics
from storage.queries.errors import read_errors
from storage.queries.facets import Facet, find_facet
from storage.queries.filters.keys import Term
from storage.queries.filters.search_language import REFUSAL_SEARCH_KEYS, Search, parse_refusal_search, refusals_of
from storage.queries.filters.words import InvalidSearchError
from storage.queries.questions import calendar
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import Answer
from storage.queries.questions.question import OF_SUBJECT, By, Counted, Dimension, Order, Question, names_of, parse_by
from storage.queries.questions.questions import STREAM_SECONDS, CallFinder
from storage.queries.questions.reading import CallsRead, OnProgress
from storage.queries.refusals import read_refusals
from storage.search.find import MAX_CALLS, MAX_CHECKED


def progress_to(report: Report) -> tuple[OnProgress, float | None]:
    """Return what reports the progress of reading, and how many seconds it may take; None is the usual time."""

    async def on_progress(progress: CallsRead) -> None:
        await report(min(progress.read / progress.of, 1) if progress.of else 1)

    return on_progress, STREAM_SECONDS if report.in_lines else None


MAX_BUCKETS: Final = 1_500
MAX_DIMENSIONS: Final = 2
NO_PRICE: Final = (
    "no price is known of it; give a provider of this server and a model, as in anthropic/claude-haiku-4-5"
)
CHANGE_OF_NOTHING: Final = "may be change only with compare=previous: it is the change against the time range before"


class QuestionQuery(Ranged, frozen=True):
    """What is counted, how it is grouped, and over which time."""

    span: ClassVar[timedelta] = timedelta(hours=24)

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
            "months, before whole days as many days, before anything else as much time; before more than a week those with "
            "the same weekdays. That of all has points."
        ),
    ] = None
    priced_as: Annotated[
        str,
        Meta(
            description="A model, as PROVIDER/MODEL: puts beside each total what its tokens cost at the prices of that model now. "
            "What is read from a cache or written to it costs what input costs where the model has no other price for it. CSV has no such column.",
            examples=["anthropic/claude-haiku-4-5"],
        ),
    ] = ""
    format: Annotated[
        Literal["json", "csv"], doc("A row of `csv` is a group, or with several buckets a group in one of them.")
    ] = "json"

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the groups, their order, and the range."""
        problems = super().check(now)
        self._by(problems)
        if self.order_by is Order.CHANGE and not self.compare:
            problems.append(("order_by", CHANGE_OF_NOTHING))
        return problems

    def question(self, now: datetime) -> Question:
        """What is asked, at the time `now`, of all that there is."""
        start, end, _ = self.bounded(now, [])
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

    def bounded(self, now: datetime, problems: Problems) -> tuple[datetime, datetime, bool]:
        """Return the range, made larger to whole buckets."""
        wrong, period, zone = len(problems), self.bucket, zone_of(self.tz, [])
        first, to, is_length = super().bounded(now, problems)
        if len(problems) > wrong:
            return now, now, False
        try:
            # The buckets of a length of time are the present one and those before.
            start = (calendar.ceiling if is_length else calendar.floor)(period, first, zone)
            end = calendar.ceiling(period, to, zone)
            if len(list(islice(calendar.starts(period, start, end, zone), MAX_BUCKETS + 1))) > MAX_BUCKETS:
                problems.append(("bucket", f"the range has more than {MAX_BUCKETS:,} buckets"))
            calendar.previous(start, end, zone)
        except OverflowError:
            problems.append(("to", OUT_OF_RANGE))
        else:
            return start, end, is_length
        return now, now, False


TOO_MANY_CALLS: Final = (
    f"more than {MAX_CALLS:,} calls match it, or {MAX_CHECKED:,} where words have to follow one another; ask for less"
)


@operation("GET", "stats", tag="statistics", media=("text/csv",), raises={403: NOT_FOR_READERS})
async def get_statistics(ask: Ask, query: QuestionQuery, report: Report) -> Statistics | Download:
    """Read statistics by group, and over time.

    Counts, tokens, costs and durations of ended calls in all, by group, and with several buckets over time. Every group
    there is, page by page.
    """
    conditions, finder = await _narrowed(ask, query.of, query.q)
    question = replace(query.question(ask.bridge.now()), visible_to=ask.visible_to, conditions=conditions)
    on_progress, seconds = progress_to(report)
    answer = await ask.bridge.questions.answer(question, on_progress, seconds=seconds, finder=finder)
    names = await _names_of(ask, question, answer)
    rates = _token_rates(ask, query.priced_as) if query.priced_as else None
    # In a thread, as ten thousand buckets take some 100 ms.
    shown = await asyncio.to_thread(Statistics.of_answer, question, query.tz, answer, names, rates)
    if query.format == "csv":
        return Download.whole(CSV_TYPE, "stats.csv", await asyncio.to_thread(shown.csv))
    return shown


def _token_rates(ask: Ask, priced_as: str) -> dict[str, Decimal]:
    provider, _, model = priced_as.partition("/")
    if (rates := ask.bridge.pricing.rates(provider, model, ask.bridge.now())) is None:
        raise ValidationProblem(INVALID, validations=[("priced_as", NO_PRICE)])
    return rates.usd


async def _narrowed(ask: Ask, of: Counted, q: str) -> tuple[Mapping[str, Any], CallFinder | None]:
    """The filter of a search, in the language of the list of the same things, and what finds calls by words.

    Raises:
        Problem: 403, it has words, and the caller may not read texts.
        InvalidSearchError: it cannot be understood.
        ValidationProblem: its initiator is nobody that the caller may see.
    """
    sight = Sight(ask)
    if of is Counted.CALLS:
        query = await sight.query(q)
        return query.conditions, ask.bridge.search.every(query) if query.search.texts is not None else None
    if of is Counted.SESSIONS:
        found = await sight.session_search(q)
        if not found.is_exact:
            raise ValidationProblem(INVALID_SEARCH, validations=[("q", TOO_MANY_CALLS)])
        return found.conditions, None
    return (await sight.resolved(parse_refusal_search(q, now=ask.bridge.now()))).refusal_filter(), None


async def _names_of(ask: Ask, question: Question, answer: Answer) -> Names:
    found: dict[Dimension, set[Any]] = defaultdict(set)
    for position, one in enumerate(question.by):
        found[one.dimension] = {group.key[position] for group in answer.groups} - {None}
    return await ask.bridge.read_names(found[Dimension.USER], found[Dimension.GROUP], found[Dimension.TOKEN])


class NameQuery(Paged, frozen=True):
    """Which names."""

    q: Annotated[str, Meta(description="Only those that begin with it; case matters.", examples=["gpt"])] = ""


def _lister(path: str, facet: Facet, what: str) -> Operation:
    async def list_names(ask: Ask, query: NameQuery) -> list[str]:
        names = await find_facet(ask.bridge.database, facet, query.q, visible_to=ask.visible_to)
        return names[query.offset : query.offset + query.limit]

    list_names.__name__ = f"list_{path}"
    list_names.__doc__ = f"List the {what} that occur.\n\nEach once, sorted; only from calls that the caller may see."
    return operation("GET", path, tag="names")(list_names)


list_models = _lister("models", Facet.MODEL, "models")
list_clients = _lister("clients", Facet.CLIENT, "clients")
list_tags = _lister("tags", Facet.TAG, "names of tags")
list_providers = _lister("providers", Facet.PROVIDER, "names of providers")

MAX_SAYING = 5_000
"""How many of the latest failed calls that say the words of a search are put into groups."""

_MILLISECOND = timedelta(milliseconds=1)


class ErrorQuery(Ranged, frozen=True):
    """Which errors, of the last seven days without a range."""

    span: ClassVar[timedelta] = timedelta(days=7)

    from_: Annotated[Timestamp | None, doc("The start of the range; without it seven days before its end.")] = None
    to: Annotated[Timestamp | None, doc("The end of the range, exclusive; without it now.")] = None
    q: SearchText = ""
    provider: Annotated[str, Meta(description="Only those of the provider with this name.", examples=["anthropic"])] = (
        ""
    )
    limit: Limit = 100
    offset: Offset = 0


@operation("GET", "errors", tag="refusals", raises={403: NOT_FOR_READERS})
async def list_errors(ask: Ask, query: ErrorQuery, report: Report) -> ErrorList:
    """List errors and refusals, by kind.

    Failed calls by provider, model, status, type and message, and refusals by provider, model, status and rule; the most
    frequent first. Refusals are left out where the search asks for what they do not have. With
    `Accept: application/x-ndjson` lines of progress come before the result, where there is much to read.
    """
    bridge, sight = ask.bridge, Sight(ask)
    start, end, _ = query.bounded(bridge.now(), [])
    asked = await sight.query(query.q)
    search = narrowed(asked.search, query.provider, start, end)
    calls, refusals, found = search.filter(), refusals_of(search), None
    if search.texts is not None:
        found = await bridge.search.latest(asked._replace(search=search, conditions=calls), MAX_SAYING)
        calls, refusals = {**calls, "_id": {"$in": found.ids}}, None  # no words are kept of what was refused
    on_progress, seconds = progress_to(report)
    groups, is_cut = await read_errors(
        bridge.questions,
        Question(start, end, calls, visible_to=ask.visible_to),
        refusals,
        texts=sight.shows_texts,
        on_progress=on_progress,
        seconds=seconds,
    )
    page = groups[query.offset : query.offset + query.limit]
    ids = {user for group in page for user in (*named(group), group.example_user) if user is not None}
    users = await bridge.identities.users_by_id(ids)
    for group in page:
        if group.message and group.example_user is not None:
            sight.note_read(group.example_user, users)
    return ErrorList(
        from_=format_time(start),
        to=format_time(end),
        count=len(groups),
        calls=sum(group.calls for group in groups),
        is_complete=not is_cut and (found is None or found.is_exact),
        results=[ErrorKind.of(group, users, end) for group in page],
    )


def narrowed(search: Search, provider: str, start: datetime, end: datetime) -> Search:
    """Return the search within the range, for failed calls, and for a provider if one is given."""
    return structs.replace(
        search,
        started_after=max(start, search.started_after or start),
        started_before=min(end - _MILLISECOND, search.started_before or end),
        terms=(
            *search.terms,
            *([] if search.asks_for("status") else [Term("status", (Status.FAILED,))]),
            *([Term("provider_name", (provider,))] if provider else []),
        ),
    )


INVALID_REFUSAL_SEARCH = "Invalid refusal search query."


class RefusalQuery(Paged, frozen=True):
    """Which refusals."""

    q: Annotated[
        str,
        Meta(
            description="A search as that for calls: `key:value`, `key:a,b` for one of several values, `-key:value` for what "
            f"is not so. Words without a key name the user. Keys are {', '.join(REFUSAL_SEARCH_KEYS)}.",
            examples=["user:me rule:rate"],
        ),
    ] = ""
    after_id: AfterId = None


@operation("GET", "refusals")
async def list_refusals(ask: Ask, query: RefusalQuery) -> ListPage[RecordedRefusal]:
    """List refused calls.

    Newest first. Equal refusals within a minute are one row; the statistics count each of them.
    """
    try:
        search = parse_refusal_search(query.q, now=ask.bridge.now())
    except InvalidSearchError as error:
        raise ValidationProblem(INVALID_REFUSAL_SEARCH, validations=error.validations) from error
    count, rows = await read_refusals(
        ask.bridge.database,
        (await Sight(ask).resolved(search)).refusal_filter(),
        visible_to=ask.visible_to,
        limit=query.limit,
        after_id=query.after_id,
        offset=query.offset,
    )
    known = {row["initiator_id"] for row in rows if row["initiator_id"] is not None}
    initiators = await ask.bridge.identities.users_by_id(known)
    return ListPage(count, [RecordedRefusal.of(row, initiators) for row in rows])
