"""The exactly-once jobs, each with calls for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from storage.derived.job import ExactlyOnceJob
from storage.derived.rollup_job import RollupJob
from storage.derived.sessions.session_job import SessionJob
from storage.mongo.database import Database
from storage.search.job import SearchJob
from tests.storage import rollup_checks, search_checks, session_checks


@dataclass(frozen=True)
class Task:
    """How to make the job, which call a number stands for, and whether all is done and nothing is left."""

    kind: type[ExactlyOnceJob]
    make_job: Callable[..., ExactlyOnceJob]
    call: Callable[[int], Any]
    is_done: Callable[[Database], Awaitable[None]]


def _counted(number):
    return rollup_checks.Call(number, second=2.5 * number, initiator=UUID(int=number % 3))


def _grouped(number):
    return session_checks.Call(number, (None, "a", None, "a", *"bcdefg")[number % 10])


def _rollups(database, **options):
    return RollupJob(database, now=lambda: rollup_checks.MIDNIGHT + timedelta(hours=12), **options)


ALL = {
    "counting": Task(RollupJob, _rollups, _counted, rollup_checks.has_counted_all),
    "grouping": Task(SessionJob, SessionJob, _grouped, session_checks.has_grouped_all),
    "indexing": Task(SearchJob, SearchJob, _grouped, search_checks.has_indexed_all),
}
