from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from storage.admission.ledger import (
    IDLE_MS,
    MAX_ENTRIES,
    MAX_FUTURE_MS,
    MAX_LIFE_MS,
    MAX_SKEW_MS,
    Ledger,
    Member,
    Report,
    Span,
)
from tests.examples import examples

NOW = 1_000_000


def window(ms=1_000, now=NOW):
    return Span.of_window(now, ms)


def alive(_name):
    return False


def test_what_has_left_the_window_does_not_count():
    ledger = Ledger("a", [(NOW - 1_000, 2), (NOW - 999, 3), (NOW + 500, 1)])
    assert ledger.advance(window(), "a", alive) is False
    assert (ledger.entries, ledger.used) == ([(NOW - 999, 3), (NOW + 500, 1)], 4)


def test_of_a_calendar_period_everything_counts_until_its_end():
    ledger = Ledger("a", [(500, 2), (900, 3)])
    span = Span(NOW, 900, end=NOW + 7)
    ledger.advance(span, "a", alive)
    assert (ledger.entries, span.leaves_in(900)) == ([(900, 3)], 7)


def test_when_another_member_is_primary_times_move_on_once():
    ledger = Ledger("a", [(NOW - 90_000, 1), (NOW - 10, 1), (NOW + 99_000, 1)], {"x": Member(1, at=5)})
    assert ledger.advance(window(200_000), "b", alive) is True
    latest = NOW + MAX_LIFE_MS
    assert [at for at, _ in ledger.entries] == [NOW - 90_000 + MAX_SKEW_MS, latest, NOW + MAX_FUTURE_MS]
    assert (ledger.clock, ledger.members["x"].at) == ("b", NOW)
    assert ledger.advance(window(200_000), "b", alive) is False


def test_a_member_is_forgotten_when_it_is_dead_or_holds_nothing_for_long():
    ledger = Ledger("a", [], {"dead": Member(3, at=NOW), "idle": Member(0, at=NOW - IDLE_MS - 1), "x": Member(2)})
    ledger.advance(window(), "a", lambda name: name == "dead")
    assert (list(ledger.members), ledger.held(), ledger.held(but="x")) == (["x"], 2, 0)


def test_a_report_counts_once():
    ledger, reports = Ledger("a"), [Report(3, 5, 100), Report(4, 7, 0)]
    ledger.report("x", reports, window())
    assert ledger.entries == [(NOW - 100, 5), (NOW, 7)]
    ledger.members["x"] = Member(report=4)
    ledger.report("x", [*reports, Report(5, 1, 0)], window())
    assert ledger.used == 13


def test_permits_that_may_have_been_given_back_before_are_not_given_back_again():
    ledger = Ledger("a", [(NOW, 5)])
    ledger.report("x", [Report(1, -2, NOW, "a", sent=True), Report(2, -1, NOW, "other clock")], window())
    assert ledger.used == 5
    ledger.report("x", [Report(3, -2, NOW, "a")], window())
    assert ledger.used == 3


def test_permits_are_given_back_where_their_entry_was_moved_to():
    ledger = Ledger("a", [(NOW - 5, 1), (NOW + 3, 2), (NOW + 9, 4)])
    ledger.report("x", [Report(1, -3, NOW, "a")], window())
    assert ledger.entries == [(NOW - 5, 1), (NOW + 9, 3)]


def test_used_permits_are_entered_at_the_time_of_their_use_never_later_than_before():
    begin, of_another_clock = window().begin, Report(5, -1, NOW + 9, "b", used_at=NOW)
    ledger = Ledger("a", [(NOW + 9, 8)])
    reports = [Report(number, -1, NOW + 9, "a", used_at=at) for number, at in enumerate((NOW, NOW + 10, begin - 1), 1)]
    ledger.report("x", [*reports, Report(4, -2, NOW + 9, "a", used_at=NOW), of_another_clock], window())
    assert ledger.entries == [(NOW, 3), (NOW + 9, 4)]
    ledger.report("y", [Report(1, -1, NOW + 9, "a", sent=True, used_at=NOW)], window())
    assert ledger.entries == [(NOW, 3), (NOW + 9, 4)]


def test_the_entry_that_has_to_leave_is_told():
    ledger = Ledger("a", [(1, 2), (5, 3), (9, 1)])
    assert [ledger.next_at(missing) for missing in (-1, 0, 1, 2, 3, 5, 6, 7)] == [None, None, 1, 1, 5, 5, 9, None]


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 9)), max_size=60), st.integers(1, 3_000))
def test_entries_are_sorted_and_lose_nothing_while_they_are_few(added, ms):
    ledger, span = Ledger("a"), window(ms)
    for at, count in added:
        ledger.enter(at, count, span)
    assert ledger.entries == sorted(ledger.entries)
    assert ledger.used == sum(count for _, count in added)
    assert len({at for at, _ in ledger.entries}) == len(ledger.entries)


@settings(max_examples=examples(2, 40))
@given(st.lists(st.integers(0, 60_000), min_size=MAX_ENTRIES + 1, max_size=MAX_ENTRIES + 500, unique=True))
def test_merged_entries_count_longer_and_never_shorter(times):
    ledger, span = Ledger("a"), window(60_000)
    for at in times:
        ledger.enter(at, 1, span)
    assert (len(ledger.entries) <= MAX_ENTRIES, ledger.used) == (True, len(times))
    for now in range(0, 121_000, 7_001):
        exact = sum(at > now - 60_000 for at in times)
        kept = sum(count for at, count in ledger.entries if at > now - 60_000)
        late = sum(at > now - 60_120 for at in times)
        assert exact <= kept <= late
