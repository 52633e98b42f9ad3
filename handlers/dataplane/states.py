"""The states of a request to a provider, and the events that lead from one to the next. No I/O."""

# How a call ends
# ===============
#
# Three things happen to a request at moments of their own: its body arrives, `serve` works on the response, and Tornado
# finishes the response. It may be stopped at any moment: the client leaves, or the server stops.
#
#   ADMITTING    It is being admitted, or was admitted and its body is there. Nothing was sent to the provider.
#   RECEIVING    Its body is arriving. Another request may get its slot.
#   SERVING      `serve` runs.
#   LEFT         `serve` runs and is being cancelled, because the client left.
#   SHUT_DOWN    `serve` runs and is being cancelled, because the server stops.
#   RELAYED      `serve` runs. The client has got all that the provider sent, so a stop loses nothing now.
#   STOPPED_AFTER_RELAY
#                `serve` runs and is being cancelled. The client has got all that the provider sent.
#   SERVED       `serve` has ended. The response is about to finish.
#   OVER         Everything that the request held was given back.
#
# The first to stop a request decides its end reason. A request that is LEFT or SHUT_DOWN may still be RELAYED before it
# notices.
#
# Tornado does not finish a request whose body never came whole. So stopping one that is ADMITTING or RECEIVING makes it OVER
# at once. Tornado may then still call the handler, which has nothing more to do.
#
# Everything that is not in the table is a mistake, and raises.

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto

from intercept.records import EndReason


class State(IntEnum):
    """Where a request is. Integers, as those are found in a table in the least time."""

    ADMITTING = auto()
    RECEIVING = auto()
    SERVING = auto()
    LEFT = auto()
    SHUT_DOWN = auto()
    RELAYED = auto()
    STOPPED_AFTER_RELAY = auto()
    SERVED = auto()
    OVER = auto()


class Event(IntEnum):
    """What happens to a request."""

    BODY_AWAITED = auto()
    """It is admitted, and its body has not arrived."""
    SERVE_STARTS = auto()
    """The body is whole."""
    RELAY_ENDS = auto()
    """The client got the whole response except its end."""
    CLIENT_LEAVES = auto()
    """The client left, or takes nothing and is cut."""
    SERVER_STOPS = auto()
    """The server waits no longer for the request to end."""
    SERVE_ENDS = auto()
    """`serve` has returned or raised."""
    FINISH = auto()
    """The response is finished."""


# Names of their own: in Python 3.11 to read `Event.FINISH` takes 130 ns, and such a name 10.
ADMITTING, RECEIVING, SERVING, LEFT, SHUT_DOWN, RELAYED, STOPPED_AFTER_RELAY, SERVED, OVER = State
BODY_AWAITED, SERVE_STARTS, RELAY_ENDS, CLIENT_LEAVES, SERVER_STOPS, SERVE_ENDS, FINISH = Event

TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.ADMITTING: {
        Event.BODY_AWAITED: State.RECEIVING,
        Event.SERVE_STARTS: State.SERVING,
        Event.CLIENT_LEAVES: State.OVER,
        Event.SERVER_STOPS: State.OVER,
        Event.FINISH: State.OVER,
    },
    State.RECEIVING: {
        Event.SERVE_STARTS: State.SERVING,
        Event.CLIENT_LEAVES: State.OVER,
        Event.SERVER_STOPS: State.OVER,
        Event.FINISH: State.OVER,
    },
    State.SERVING: {
        Event.RELAY_ENDS: State.RELAYED,
        Event.CLIENT_LEAVES: State.LEFT,
        Event.SERVER_STOPS: State.SHUT_DOWN,
        Event.SERVE_ENDS: State.SERVED,
    },
    State.LEFT: {
        Event.RELAY_ENDS: State.STOPPED_AFTER_RELAY,
        Event.CLIENT_LEAVES: State.LEFT,
        Event.SERVER_STOPS: State.LEFT,
        Event.SERVE_ENDS: State.SERVED,
    },
    State.SHUT_DOWN: {
        Event.RELAY_ENDS: State.STOPPED_AFTER_RELAY,
        Event.CLIENT_LEAVES: State.SHUT_DOWN,
        Event.SERVER_STOPS: State.SHUT_DOWN,
        Event.SERVE_ENDS: State.SERVED,
    },
    State.RELAYED: {
        Event.CLIENT_LEAVES: State.STOPPED_AFTER_RELAY,
        Event.SERVER_STOPS: State.STOPPED_AFTER_RELAY,
        Event.SERVE_ENDS: State.SERVED,
    },
    State.STOPPED_AFTER_RELAY: {
        Event.CLIENT_LEAVES: State.STOPPED_AFTER_RELAY,
        Event.SERVER_STOPS: State.STOPPED_AFTER_RELAY,
        Event.SERVE_ENDS: State.SERVED,
    },
    State.SERVED: {
        Event.CLIENT_LEAVES: State.SERVED,
        Event.SERVER_STOPS: State.SERVED,
        Event.FINISH: State.OVER,
    },
    State.OVER: {
        Event.CLIENT_LEAVES: State.OVER,
        Event.SERVER_STOPS: State.OVER,
        Event.FINISH: State.OVER,
    },
}

NOT_SERVED = frozenset({State.ADMITTING, State.RECEIVING})
"""`serve` has not begun."""
SERVE_RUNS = frozenset(
    {State.SERVING, State.LEFT, State.SHUT_DOWN, State.RELAYED, State.STOPPED_AFTER_RELAY},
)
"""`serve` runs, and can be cancelled."""
BEING_CANCELLED = frozenset({State.LEFT, State.SHUT_DOWN, State.STOPPED_AFTER_RELAY})
"""`serve` runs, and its cancellation is the doing of `stop`."""
STOPS: Mapping[EndReason, Event] = {
    EndReason.CLIENT_DISCONNECTED: Event.CLIENT_LEAVES,
    EndReason.SERVER_SHUTDOWN: Event.SERVER_STOPS,
}
"""What happens to a request that is stopped for a reason."""
STOPPED: Mapping[State, EndReason] = {
    State.LEFT: EndReason.CLIENT_DISCONNECTED,
    State.SHUT_DOWN: EndReason.SERVER_SHUTDOWN,
}
"""Why a call was stopped before the client was given all of the response."""


class InvalidTransitionError(RuntimeError):
    """An event that the table does not have for the state."""


def next_state(state: State, event: Event) -> State:
    """Look up where an event leads.

    Raises:
        InvalidTransitionError: Nowhere.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise InvalidTransitionError(f"{event.name} is not possible while the request is {state.name}") from None
