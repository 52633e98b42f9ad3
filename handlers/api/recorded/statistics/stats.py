"""`GET /api/v2/aibridge/stats`: what calls, refusals and sessions add up to, answered as JSON or as CSV."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from handlers.api.control import READ_PER_SECOND
from handlers.api.names import read_names
from handlers.api.pagination import INVALID
from handlers.api.recorded.progress import ProgressHandler
from handlers.api.recorded.statistics.group_request import PARAMETERS, parse_group_request
from handlers.operations.problems import INVALID_SEARCH
from handlers.problems import Problem, ValidationProblem
from resources.names import Names
from resources.recorded.export_formats import CSV_TYPE
from resources.recorded.flat_rows import csv_of
from resources.recorded.statistics import Statistics
from storage.queries.filters.search_language import parse_refusal_search
from storage.queries.questions.groups import MAX_POINTS, Answer, TooManyPointsError, UnsupportedOrderError
from storage.queries.questions.question import Dimension, Question, Subject
from storage.queries.questions.questions import CallFinder
from storage.queries.questions.reading import OnProgress
from storage.search.find import MAX_CALLS, MAX_CHECKED

TOO_MANY_CALLS: Final = (
    f"more than {MAX_CALLS:,} calls match it, or {MAX_CHECKED:,} where words have to follow one another; ask for less"
)


class StatisticsHandler(ProgressHandler):
    """The statistics: of owners, auditors and readers over all calls, of members over their own."""

    read_per_second = READ_PER_SECOND

    async def respond(self) -> None:
        """Respond with the groups, and what all of it adds up to."""
        request = parse_group_request(self.parameters(*PARAMETERS), self.bridge.now())
        conditions, finder = await self._narrowed(request.question.of, request.q)
        question = replace(request.question, visible_to=self.visible_to, conditions=conditions)
        if request.format == "json":
            await self.write_with_progress(partial(self._statistics, question, request.tz, finder))
            return
        answer = await self.bridge.questions.answer(question, self.check_client, finder=finder)
        self.set_header("Content-Type", CSV_TYPE)
        self.set_header("Content-Disposition", 'attachment; filename="stats.csv"')
        self.finish(csv_of(question, answer, await self._names_of(question, answer)))

    async def _statistics(
        self, question: Question, tz: str, finder: CallFinder | None, on_progress: OnProgress, seconds: float | None
    ) -> Statistics:
        answer = await self.bridge.questions.answer(question, on_progress, seconds=seconds, finder=finder)
        names = await self._names_of(question, answer)
        # In a thread, as ten thousand buckets take some 100 ms.
        return await asyncio.to_thread(Statistics.of_answer, question, tz, answer, names)

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say also why there are no groups."""
        match error:
            case UnsupportedOrderError():
                return ValidationProblem(INVALID, validations=[("order_by", str(error))])
            case TooManyPointsError():
                detail = f"asks for more than {MAX_POINTS:,} buckets; choose fewer groups or longer buckets"
                return ValidationProblem(INVALID, validations=[("limit", detail)])
        return super().problem_of(error)

    async def search_calls(self, q: str) -> tuple[Mapping[str, Any], CallFinder | None]:
        """The filter of a search for calls, and what finds those that say its words, where it has any.

        Raises:
            Problem: 403, it has words, and the caller may not read texts.
            InvalidSearchError: it cannot be understood.
            ValidationProblem: its initiator is nobody that the caller may see.
        """
        found = await self.query(q)
        return found.conditions, self.bridge.search.every(found) if found.search.texts is not None else None

    async def _narrowed(self, of: Subject, q: str) -> tuple[Mapping[str, Any], CallFinder | None]:
        """The filter of a search, in the language of the list of the same things, and what finds calls by words."""
        if of is Subject.CALLS:
            return await self.search_calls(q)
        if of is Subject.SESSIONS:
            found = await self.session_search(q)
            if not found.is_exact:
                raise ValidationProblem(INVALID_SEARCH, validations=[("q", TOO_MANY_CALLS)])
            return found.conditions, None
        return (await self.resolved(parse_refusal_search(q, now=self.bridge.now()))).refusal_filter(), None

    async def _names_of(self, question: Question, answer: Answer) -> Names:
        found: dict[Dimension, set[Any]] = defaultdict(set)
        for position, one in enumerate(question.by):
            found[one.dimension] = {group.key[position] for group in answer.groups} - {None}
        return await read_names(
            self.bridge, *(found[one] for one in (Dimension.USER, Dimension.GROUP, Dimension.TOKEN))
        )
