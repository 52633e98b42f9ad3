"""Requests below a provider, or for one, that lead to no provider."""

from __future__ import annotations

from msgspec.structs import replace

from handlers.bridge import Bridge
from handlers.dataplane.admission import DataPlaneHandler
from handlers.problems import Problem
from intercept.apis import Dialect
from limits.mixin import client_key


class NotServedHandler(DataPlaneHandler):
    """A path that leads nowhere; only who may use the bridge is told so."""

    def initialize(  # type: ignore[override]
        self, bridge: Bridge, dialect: Dialect, problem: Problem, provider: str | None = None
    ) -> None:
        """Receive what to say, and below which provider the path is, if there is one."""
        super().initialize(bridge, dialect)
        self._problem = problem
        self._active_request = replace(self._active_request, provider=provider)

    async def admit(self) -> None:
        """Refuse, after everybody who would be refused anyway.

        Raises:
            Problem: always.
        """
        await super().admit()
        raise self._problem


class MisdirectedHandler(NotServedHandler):
    """A path of a provider's API where no provider is; everybody is told where one is."""

    async def admit(self) -> None:
        """Refuse, counted by address.

        Raises:
            Problem: always.
            OverloadedError: rate.
        """
        await self.count_request(client_key(self.client_ip))
        raise self._problem


class ProviderRootHandler(DataPlaneHandler):
    """`HEAD` on a provider's root: clients ask whether anybody is there before they show a credential."""

    BODY_METHODS = ()

    async def admit(self) -> None:
        """Let in without a token and without a slot, which nobody who is unknown may hold; counted by address."""
        await self.count_request(client_key(self.client_ip))

    async def serve(self) -> None:
        """Answer 200 without a body."""
        self.tell_timing()
        self.set_header("Content-Length", "0")
