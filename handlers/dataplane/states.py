"""How far a request to a provider is, and what stopped it. No I/O.

Three things happen to a request at moments of their own: its body arrives, `serve` works on the response, and Tornado finishes
the response. It may be stopped at any moment: the client leaves, or the server stops. The first to stop it decides how its
call ends, unless the client has got all of the response by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto

from intercept.records import EndReason


class RequestState(IntEnum):
    """How far a request is."""

    ARRIVING = auto()
    """It is being admitted, or its body arrives. Nothing was sent to the provider."""
    SERVING = auto()
    """`serve` runs."""
    RELAYED = auto()
    """`serve` runs. The client has got all that the provider sent, so a stop loses nothing now."""
    SERVED = auto()
    """`serve` has ended. The response is about to finish."""
    OVER = auto()
    """Everything that the request held was given back."""


# Names of their own: in Python 3.11 to read `RequestState.OVER` takes 130 ns, and such a name 10.
ARRIVING, SERVING, RELAYED, SERVED, OVER = RequestState

NEXT: Mapping[RequestState, frozenset[RequestState]] = {
    ARRIVING: frozenset({SERVING, OVER}),
    SERVING: frozenset({RELAYED, SERVED}),
    RELAYED: frozenset({SERVED}),
    SERVED: frozenset({OVER}),
    OVER: frozenset({OVER}),
}
"""Which states may follow. Everything else is a mistake, and raises."""


class InvalidTransitionError(RuntimeError):
    """A state that may not follow."""


class RequestProgress:
    """The state of one request.

    Attributes:
        state: How far it is.
        is_cancelled: Whether it was stopped while `serve` ran, which is cancelled then.
    """

    __slots__ = ("_stopped", "is_cancelled", "state")

    def __init__(self) -> None:
        self.state: RequestState = ARRIVING
        self.is_cancelled = False
        self._stopped: EndReason | None = None

    @property
    def is_served(self) -> bool:
        """Whether `serve` runs."""
        return self.state in (SERVING, RELAYED)

    @property
    def stopped(self) -> EndReason | None:
        """Why it was stopped; None if it was not, or if the client was given the whole response all the same."""
        return self._stopped if self.state is SERVING else None

    def move(self, to: RequestState) -> None:
        """Go on to a state.

        Raises:
            InvalidTransitionError: It may not follow.
        """
        if to not in NEXT[self.state]:
            raise InvalidTransitionError(f"a request that is {self.state.name} cannot become {to.name}")
        self.state = to

    def stop(self, reason: EndReason) -> None:
        """Note that it is stopped. Without `serve`, which would end it, it is over at once."""
        if self.state is ARRIVING:
            self.state = OVER
        elif self.is_served:
            self.is_cancelled = True
            self._stopped = self._stopped or reason
