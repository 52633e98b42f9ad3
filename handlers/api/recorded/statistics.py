"""What calls, refusals and sessions add up to, answered as JSON or as CSV."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from handlers.api.names import read_names
from handlers.api.recorded.progress import progress_to
from handlers.api.recorded.question_query import QuestionQuery
from handlers.api.recorded.visibility import NOT_FOR_READERS, Sight
from handlers.operations.operation import Ask, Download, Report, operation
from handlers.operations.problems import INVALID_SEARCH, READ_PER_SECOND
from handlers.problems import ValidationProblem
from resources.names import Names
from resources.recorded.export_formats import CSV_TYPE
from resources.recorded.flat_rows import csv_of
from resources.recorded.statistics import Statistics
from storage.queries.filters.search_language import parse_refusal_search
from storage.queries.questions.groups import Answer
from storage.queries.questions.question import Counted, Dimension, Question
from storage.queries.questions.questions import CallFinder
from storage.search.find import MAX_CALLS, MAX_CHECKED

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
    on_progress, seconds = progress_to(report, ask, READ_PER_SECOND)
    if query.format == "csv":
        answer = await ask.bridge.questions.answer(question, finder=finder)
        text = csv_of(question, answer, await _names_of(ask, question, answer))
        return Download.whole(CSV_TYPE, "stats.csv", text)
    answer = await ask.bridge.questions.answer(question, on_progress, seconds=seconds, finder=finder)
    names = await _names_of(ask, question, answer)
    # In a thread, as ten thousand buckets take some 100 ms.
    return await asyncio.to_thread(Statistics.of_answer, question, query.tz, answer, names)


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
    return await read_names(ask.bridge, *(found[one] for one in (Dimension.USER, Dimension.GROUP, Dimension.TOKEN)))
