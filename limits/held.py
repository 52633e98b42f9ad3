"""What an admitted request holds of its limits until its end."""

from __future__ import annotations

from collections.abc import Callable

from limits.authority import Authority
from limits.limit import Amounts, LimitState


class Held:
    """What one step of admission counted. Giving it back twice gives it back once.

    Attributes:
        states: The states of the limits, with the request counted.
        charged: Whether tokens or money can be charged to it.
        shadow: The states of limits that only count, and would have refused the request.
    """

    __slots__ = ("_authority", "_on_release", "_ticket", "charged", "shadow", "states")

    def __init__(
        self,
        authority: Authority,
        ticket: int | None = None,
        states: tuple[LimitState, ...] = (),
        *,
        charged: bool = False,
        shadow: tuple[LimitState, ...] = (),
        on_release: Callable[[], None] | None = None,
    ) -> None:
        self._authority = authority
        self._ticket = ticket
        self._on_release = on_release
        self.states = states
        self.charged = charged
        self.shadow = shadow

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the request has used since its start; see `limits.limiter.Limiter.charge`."""
        if self._ticket is not None and self.charged:
            self._authority.charge(self._ticket, amounts, reserve)

    def release(self) -> None:
        """Give slots and reservations back."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._authority.end(ticket)
        on_release, self._on_release = self._on_release, None
        if on_release is not None:
            on_release()
