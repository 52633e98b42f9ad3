from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.dataplane.states import TRANSITIONS, Event, InvalidTransitionError, State, next_state


@given(st.lists(st.sampled_from(Event), max_size=20))
def test_no_request_leaves_the_table_and_over_is_final(events):
    state = State.RECEIVING
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


@pytest.mark.parametrize("state", [state for state in State if state is not State.OVER])
def test_every_request_can_end(state):
    reached = {state}
    while more := {to for one in reached for to in TRANSITIONS[one].values()} - reached:
        reached |= more
    assert State.OVER in reached


@pytest.mark.parametrize("state", State)
def test_every_request_can_be_stopped_at_any_time(state):
    assert Event.STOP in TRANSITIONS[state]


def test_who_was_given_everything_keeps_it_when_the_request_is_stopped():
    assert next_state(State.RELAYED, Event.STOP) is State.RELAYED
    assert next_state(State.STOPPING, Event.RELAY_ENDS) is State.RELAYED
