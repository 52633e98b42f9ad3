"""Whether records and reports agree, and the likely reason if they do not."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from resources.reconciliation import reconcile
from storage.queries.found import RecordedDay
from upstream.reports.reported import Reported, ReportedTokens

DAY = date(2026, 9, 1)
NEXT = DAY + timedelta(days=1)
TODAY = date(2026, 10, 1)
SOME = (10, 5, 3, 2)


def recorded(day=DAY, model="m-1", tokens=SOME, usd="1", **more):
    return RecordedDay(day, model, **({"calls": 1, "tokens": tokens, "usd": Decimal(usd)} | more))


def reported(day=DAY, model="m-1", tokens=SOME, usd: str | None = "1", **more):
    given_tokens = None if tokens is None else ReportedTokens(*tokens)
    return Reported(day, model, given_tokens, None if usd is None else Decimal(usd), **more)


def compare(ours, theirs, today=TODAY):
    return [(row.day, row.model, row.verdict.value, row.reason) for row in reconcile(ours, theirs, today)]


def reason_of(ours, theirs, today=TODAY):
    (row,) = compare(ours, theirs, today)
    assert row[2] == "differs"
    return row[3]


NONE = "calls past the bridge: none of this model is recorded on this day"
UNKNOWN = "the report does not name this model: the key belongs to another account, or it is named otherwise there"
NOT_YET = "not reported yet: reports are complete after two days"
LESS = "less is reported than recorded: some calls were billed to another account"
PRICES = "other prices: the tokens agree, the price for them does not; see own prices"


@pytest.mark.parametrize(
    ("ours", "theirs", "today", "reason"),
    [
        ([], [reported()], TODAY, NONE),
        ([], [reported(model="searches", tokens=None)], TODAY, "a charge that is not for tokens, or under a name that no call has"),
        ([recorded()], [], TODAY, UNKNOWN),
        ([recorded()], [], NEXT, NOT_YET),
        ([recorded()], [reported(tokens=(1, 1, 1, 1))], TODAY, LESS),
        ([recorded()], [reported(tokens=(1, 1, 1, 1))], NEXT, NOT_YET),
        ([recorded(unpriced=1, usd="0")], [reported()], TODAY, "unpriced: 1 of 1 calls have no known price here"),
        ([recorded()], [reported(usd="0.5", tier="batch")], TODAY, "batch prices: 20 tokens are billed at them"),
        (
            [recorded()],
            [reported(), reported(tokens=(7, 7, 0, 0), usd="0.1", tier="batch")],
            TODAY,
            "batch prices: as many tokens are reported at this tier, and their results were not fetched here",
        ),
        ([recorded()], [reported(usd="0.8")], TODAY, PRICES),
        ([recorded()], [reported(tokens=None, usd="3")], TODAY, PRICES),
        (
            [recorded(late=(4, 4, 0, 0))],
            [reported(tokens=(6, 1, 3, 2))],
            TODAY,
            "clock edges: what is missing here is too much on 2026-09-02, as calls ran over midnight in UTC",
        ),
    ],
)  # fmt: skip
def test_a_difference_has_its_likely_reason(ours, theirs, today, reason):
    assert reason_of(ours, theirs, today) == reason


@pytest.mark.parametrize("is_whole", [False, True])
def test_calls_over_midnight_are_told_from_those_past_the_bridge(is_whole):
    late = (10, 5, 3, 2) if is_whole else (4, 4, 0, 0)
    rest = tuple(one - other for one, other in zip(SOME, late, strict=True))
    ours = [recorded()] if is_whole else [recorded(), recorded(NEXT)]
    theirs = [reported(tokens=rest), reported(NEXT, tokens=late if is_whole else (14, 9, 3, 2))]
    edges = "clock edges: what is missing here is too much on {}, as calls ran over midnight in UTC"
    assert [row[3] for row in compare(ours, theirs)] == [edges.format(NEXT), edges.format(DAY)]
