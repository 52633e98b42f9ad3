"""The states of a request, and the events that lead from one to the next. No I/O."""

# How a request ends
# ==================
#
# Two sides act on a request at the same time. The client sends its body, and the handler sends the response. Neither waits
# for the other: a handler may respond before the body is there, and a client may leave at any moment. So a state has two
# halves:
#
#   - Does the handler still wait for more of the body? It does until it is told that nothing more comes. This is either
#     because the client has sent all of it, or because the handler wants none.
#   - How far is the response? It is not started, started, or finished.
#
# That makes six combinations. One of them does not exist: as soon as the response is finished, the handler is told that
# nothing more of the body comes. What the client still sends of it is thrown away. Five states are left in which a request
# is active:
#
#                         not started   started            finished
#   waits for the body    RECEIVING     RESPONDING_EARLY
#   has all of it         HANDLING      RESPONDING         DRAINING
#
# A request is DRAINING while the client has not taken the whole response. It ends in exactly one of four ways:
#
#   DONE         The client has taken the whole response.
#   UNDELIVERED  The handler finished the response, but the connection was lost before the client had taken all of it.
#   INCOMPLETE   The request stopped while the handler waited for more of its body.
#   ABORTED      The request stopped after the handler had all of it, and before the response was finished.
#
# A request stops when the connection is lost, or when the server itself responds because the body is too large, too slow or
# not HTTP. The second is possible only while the response is not started: after that there is no room for another one, so
# the server closes the connection instead. The handler is told of either in the same way. It has to know the two ends apart,
# because Tornado calls no method of a handler whose request is INCOMPLETE, and does not finish it.
#
# An end is final. A handler that was told may not have noticed yet, or may finish only to clean up. What it writes then goes
# nowhere, and is no error. After DONE it is an error: the next request of the connection may have begun, and its response
# must not get foreign bytes.
#
# Three things are not part of the state. What the connection does after the end (serve the next request, linger, close) is
# its own decision. Whether all bytes of the body have been read is known to the parser (`Request.whole`); the handler may be
# told later, or sooner. And while the handler works on the head or a piece of the body, it is not given more: see
# `Delivery`.
#
# Everything that is not in the table is a mistake of the server or the handler, and raises.

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto


class State(IntEnum):
    """Where a request is. Integers, as they are looked up for every piece of a stream."""

    RECEIVING = auto()
    HANDLING = auto()
    RESPONDING_EARLY = auto()
    RESPONDING = auto()
    DRAINING = auto()
    DONE = auto()
    UNDELIVERED = auto()
    INCOMPLETE = auto()
    ABORTED = auto()


class Event(IntEnum):
    """What happens to a request."""

    REQUEST_ENDS = auto()
    """The handler is told that nothing more of the body comes."""
    RESPONSE_STARTS = auto()
    """The handler writes the head of the response."""
    RESPONSE_CONTINUES = auto()
    """The handler writes a piece of its body."""
    RESPONSE_ENDS = auto()
    """The handler has written all of it."""
    RESPONSE_READ = auto()
    """The client has taken all of it."""
    SERVER_REFUSES = auto()
    """The server responds in the place of the handler."""
    CONNECTION_LOST = auto()
    """The client left, or the server closed the connection."""


# Names of their own: in Python 3.11 to read `Event.RESPONSE_READ` takes 130 ns, and such a name 10.
RECEIVING, RESPONDING, INCOMPLETE = State.RECEIVING, State.RESPONDING, State.INCOMPLETE
REQUEST_ENDS, RESPONSE_STARTS, RESPONSE_CONTINUES, RESPONSE_ENDS, RESPONSE_READ, SERVER_REFUSES, CONNECTION_LOST = Event

_IGNORED = (Event.RESPONSE_STARTS, Event.RESPONSE_CONTINUES, Event.RESPONSE_ENDS)

TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.RECEIVING: {
        Event.REQUEST_ENDS: State.HANDLING,
        Event.RESPONSE_STARTS: State.RESPONDING_EARLY,
        Event.SERVER_REFUSES: State.INCOMPLETE,
        Event.CONNECTION_LOST: State.INCOMPLETE,
    },
    State.HANDLING: {
        Event.RESPONSE_STARTS: State.RESPONDING,
        Event.SERVER_REFUSES: State.ABORTED,
        Event.CONNECTION_LOST: State.ABORTED,
    },
    State.RESPONDING_EARLY: {
        Event.REQUEST_ENDS: State.RESPONDING,
        Event.RESPONSE_CONTINUES: State.RESPONDING_EARLY,
        Event.RESPONSE_ENDS: State.DRAINING,
        Event.CONNECTION_LOST: State.INCOMPLETE,
    },
    State.RESPONDING: {
        Event.RESPONSE_CONTINUES: State.RESPONDING,
        Event.RESPONSE_ENDS: State.DRAINING,
        Event.CONNECTION_LOST: State.ABORTED,
    },
    State.DRAINING: {
        Event.RESPONSE_READ: State.DONE,
        Event.CONNECTION_LOST: State.UNDELIVERED,
    },
    State.DONE: {},
    State.UNDELIVERED: {},
    State.INCOMPLETE: dict.fromkeys(_IGNORED, State.INCOMPLETE),
    State.ABORTED: dict.fromkeys(_IGNORED, State.ABORTED),
}

AWAITING_BODY = frozenset({State.RECEIVING, State.RESPONDING_EARLY})
"""The handler is given what arrives of the body."""
NOT_STARTED = frozenset({State.RECEIVING, State.HANDLING})
"""The response has not started, so the server can still send one of its own."""
FINISHED = frozenset({State.DRAINING, State.DONE, State.UNDELIVERED})
"""The handler has finished the response."""
ENDS = frozenset({State.DONE, State.UNDELIVERED, State.INCOMPLETE, State.ABORTED})
"""The request is over."""


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
