"""Limits that count together: a request has several of one key and window, as of two groups that its user is in."""

from __future__ import annotations

from msgspec import structs

from tests.cases import for_each
from tests.storage.admission.cluster.model import Register, Server, rate, slots

WINDOW_MS = 60_000


def shadow(limit):
    return structs.replace(limit, shadow=True)


@for_each("turned", [False, True])
@for_each(
    ("limits", "admitted", "noted"),
    [
        ([rate(5, WINDOW_MS), rate(100, WINDOW_MS)], 5, 0),
        ([rate(30, WINDOW_MS), rate(100, WINDOW_MS)], 30, 0),
        ([shadow(rate(5, WINDOW_MS)), rate(100, WINDOW_MS)], 100, 95),
        ([rate(5, WINDOW_MS), shadow(rate(100, WINDOW_MS))], 5, 0),
        ([slots(2), slots(100)], 2, 0),
        ([shadow(slots(2)), slots(8)], 8, 6),
    ],
)
def test_the_least_limit_decides_and_one_that_only_notes_changes_nothing(limits, admitted, noted, turned):
    register = Register([0, 0])
    servers = [Server(number, register) for number in range(2)]
    for one in servers * 2:
        one.beat()
    decisions = []
    for _ in range(60):
        for one in servers:
            waiting = one.start(limits[::-1] if turned else limits, lambda _: None)
            one.run(5)
            decisions.append(waiting.decision)
        register.now += 50
    started = [decision for decision in decisions if decision.ticket is not None]
    assert len(started) == admitted
    assert sum(bool(decision.shadow) for decision in started) == noted
    refused_by = [decision.refused_by.limit for decision in decisions if decision.ticket is None]
    assert set(refused_by) == {min((one for one in limits if not one.shadow), key=lambda one: one.maximum)}
