"""What is done for one request below a provider: the seam between its Tornado handler and everything else."""

from __future__ import annotations

from typing import Protocol, TypeVar

HandlerT_contra = TypeVar("HandlerT_contra", contravariant=True)


class Service(Protocol[HandlerT_contra]):
    """Serves one request. Its methods are called in this order, and the second only if the first raised nothing."""

    @property
    def takes_body(self) -> bool:
        """Whether the request may have a body."""

    @property
    def provider_name(self) -> str | None:
        """The provider of the request; None without one."""

    @property
    def route_pattern(self) -> str | None:
        """The route of the request; None without one."""

    async def admit(self, handler: HandlerT_contra) -> None:
        """Decide whether the request may start. Its body has not been read.

        Raises:
            Problem: It may not, and why.
            OverloadedError: Concurrency or rate.
        """

    async def serve(self, handler: HandlerT_contra) -> None:
        """Respond to the admitted request, whose body is whole. Cancelled when the request is stopped.

        Raises:
            Problem: A response of the bridge's own.
        """
