"""Whose requests are counted together, and whether that is so at the moment."""

from __future__ import annotations

from types import SimpleNamespace

from handlers.limits_state import scope_of_limits, state_of_limits
from limits.authority import LocalAuthority
from tests.cases import for_each


def authority(*, unavailable):
    made = LocalAuthority()
    made.unavailable = unavailable
    return made


def workers(scope, *, unavailable=False, database_unavailable=False):
    return SimpleNamespace(scope=scope, unavailable=unavailable, database_unavailable=database_unavailable)


NO_DATABASE = "process-local: the database is unavailable"
NO_SUPERVISOR = "unavailable: the supervisor does not answer"


@for_each(
    ("cluster", "supervisor", "scope", "state"),
    [
        (None, None, "process", "ok"),
        (authority(unavailable=False), None, "cluster", "ok"),
        (authority(unavailable=True), None, "cluster", NO_DATABASE),
        (None, workers("server"), "server", "ok"),
        (None, workers("cluster"), "cluster", "ok"),
        (None, workers("server", unavailable=True), "server", NO_SUPERVISOR),
        (None, workers("cluster", database_unavailable=True), "cluster", "server-local: the database is unavailable"),
        (None, workers("cluster", unavailable=True, database_unavailable=True), "cluster", NO_SUPERVISOR),
    ],
)
def test_who_counts_is_told_and_whether_it_decides_alone(cluster, supervisor, scope, state):
    assert (scope_of_limits(cluster, supervisor), state_of_limits(cluster, supervisor)) == (scope, state)
