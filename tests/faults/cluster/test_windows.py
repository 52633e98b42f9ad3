"""Counts of a limit, from outside."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from tests.faults.cluster.windows import Count, Span, admitted, at_once, exceeding, most_admitted

WINDOW = 10
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda one: Span(one[0], one[0] + one[1])))


@given(spans)
def test_a_request_counts_in_a_window_in_which_it_was_sent_and_received(requests):
    expected = [
        sum(end - WINDOW < one.begin and one.end <= end for one in requests)
        for end in sorted(one.end for one in requests)
    ]
    found = admitted(requests, WINDOW)
    assert [count.end for count in found] == sorted(one.end for one in requests)
    # Of those that were received at the same time, the last one has counted them all.
    last = {count.end: count.number for count in found}
    assert last == dict(zip([count.end for count in found], expected, strict=True))


@given(spans, spans)
def test_a_decision_ended_a_window_with_all_that_may_have_been_admitted_in_it(requests, decisions):
    expected = [
        sum(one.begin <= decision.end and one.end > decision.begin - WINDOW for one in requests)
        for decision in decisions
    ]
    found = most_admitted(requests, WINDOW, decisions)
    assert [count.number for count in found] == expected
    assert [count.end for count in found] == [decision.end for decision in decisions]


@given(spans)
def test_no_more_were_admitted_than_may_have_been(requests):
    certain = admitted(requests, WINDOW)
    possible = most_admitted(requests, WINDOW, [Span(count.end, count.end) for count in certain])
    assert all(one.number <= other.number for one, other in zip(certain, possible, strict=True))


@given(spans)
def test_what_runs_at_once_is_counted_at_each_begin(requests):
    requests = [one for one in requests if one.end > one.begin]
    found = {}
    for number, time in at_once(requests):
        found[time] = max(found.get(time, 0), number)
    assert found == {one.begin: sum(other.begin <= one.begin < other.end for other in requests) for one in requests}


def test_what_exceeds_a_limit_is_found():
    assert exceeding([Count(100, 50.0), Count(101, 71.0)], 100) == [Count(101, 71.0)]
