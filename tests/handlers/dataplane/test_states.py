from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.dataplane.states import (
    BEING_CANCELLED,
    NOT_SERVED,
    SERVE_RUNS,
    STOPPED,
    STOPS,
    TRANSITIONS,
    Event,
    InvalidTransitionError,
    State,
    next_state,
)
from tests.cases import for_each


@given(st.lists(st.sampled_from(Event), max_size=20))
def test_no_request_leaves_the_table_and_over_is_final(events):
    state = State.ADMITTING
    for event in events:
        possible = event in TRANSITIONS[state]
        if possible:
            following = next_state(state, event)
            assert state is not State.OVER or following is State.OVER
            state = following
        else:
            with pytest.raises(InvalidTransitionError, match=rf"^{event.name} is not possible .* {state.name}$"):
                next_state(state, event)
    assert state in TRANSITIONS


@for_each("state", [state for state in State if state is not State.OVER])
def test_every_request_can_end(state):
    reached = {state}
    while more := {to for one in reached for to in TRANSITIONS[one].values()} - reached:
        reached |= more
    assert State.OVER in reached


@for_each("state", State)
def test_every_request_can_be_stopped_at_any_time(state):
    assert set(STOPS.values()) <= set(TRANSITIONS[state])


@for_each("first", STOPS)
@for_each("second", STOPS.values())
def test_whoever_stops_a_request_first_decides_why_it_ended(first, second):
    state = next_state(State.SERVING, STOPS[first])
    assert (STOPPED[state], STOPPED[next_state(state, second)]) == (first, first)


@pytest.mark.parametrize("stop", STOPS.values())
def test_who_was_given_everything_keeps_it_when_the_request_is_stopped(stop):
    relayed_first = next_state(State.RELAYED, stop)
    stopped_first = next_state(next_state(State.SERVING, stop), Event.RELAY_ENDS)
    assert relayed_first is stopped_first is State.STOPPED_AFTER_RELAY
    assert State.STOPPED_AFTER_RELAY not in STOPPED


def test_serve_runs_from_its_start_to_its_end():
    assert {state for state in State if Event.SERVE_ENDS in TRANSITIONS[state]} == SERVE_RUNS
    assert {state for state in State if Event.SERVE_STARTS in TRANSITIONS[state]} == NOT_SERVED
    assert set(STOPPED) < BEING_CANCELLED < SERVE_RUNS
