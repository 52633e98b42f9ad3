"""The states of a request to a provider, and the events that lead from one to the next. No I/O."""

# How a call ends
# ===============
#
# Three things happen to a request at moments of their own: its body arrives, `serve` works on the response, and Tornado
# finishes the response. It may be stopped at any moment: the client leaves, or the server stops.
#
#   RECEIVING   It is being admitted, or its body is on its way. Nothing was sent to the provider.
#   SERVING     `serve` runs.
#   RELAYED     `serve` runs. The client has been given all that the provider sent: whoever stops it now loses nothing.
#   STOPPING    `serve` runs, and is being cancelled. It may be RELAYED before it notices.
#   BROKEN_OFF  `serve` runs, although the response was already finished: the connection was closed in the middle of it.
#               How the call ended still has to be worked out.
#   SERVED      `serve` has ended. The response is about to finish.
#   OVER        Everything that the request held was given back.
#
# Tornado does not finish a request whose body never came whole. So stopping one that is RECEIVING makes it OVER at once.
# Tornado may then still call the handler, which has nothing more to do.
#
# Everything that is not in the table is a mistake, and raises.

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto


class State(IntEnum):
    """Where a request is. Integers, as those are found in a table in the least time."""

    RECEIVING = auto()
    SERVING = auto()
    RELAYED = auto()
    STOPPING = auto()
    BROKEN_OFF = auto()
    SERVED = auto()
    OVER = auto()


class Event(IntEnum):
    """What happens to a request."""

    SERVE_STARTS = auto()
    """The body is whole."""
    RELAY_ENDS = auto()
    """The client was given the whole response, but for its end."""
    STOP = auto()
    """The client left, or the server stops."""
    SERVE_ENDS = auto()
    """`serve` has returned or raised."""
    FINISH = auto()
    """The response is finished, or was cut."""


TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.RECEIVING: {
        Event.SERVE_STARTS: State.SERVING,
        Event.STOP: State.OVER,
        Event.FINISH: State.OVER,
    },
    State.SERVING: {
        Event.RELAY_ENDS: State.RELAYED,
        Event.STOP: State.STOPPING,
        Event.SERVE_ENDS: State.SERVED,
        Event.FINISH: State.BROKEN_OFF,
    },
    State.RELAYED: {
        Event.STOP: State.RELAYED,
        Event.SERVE_ENDS: State.SERVED,
    },
    State.STOPPING: {
        Event.RELAY_ENDS: State.RELAYED,
        Event.STOP: State.STOPPING,
        Event.SERVE_ENDS: State.SERVED,
        Event.FINISH: State.BROKEN_OFF,
    },
    State.BROKEN_OFF: {
        Event.RELAY_ENDS: State.BROKEN_OFF,
        Event.STOP: State.BROKEN_OFF,
        Event.SERVE_ENDS: State.OVER,
    },
    State.SERVED: {
        Event.STOP: State.SERVED,
        Event.FINISH: State.OVER,
    },
    State.OVER: {
        Event.STOP: State.OVER,
        Event.FINISH: State.OVER,
    },
}


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
