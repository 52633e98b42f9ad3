"""Requests below a provider, or for one, that lead to no provider."""

from __future__ import annotations

from handlers.dataplane.admission import admit
from handlers.dataplane.proxy import ProxyHandler
from handlers.problems import Problem
from limits.protection.mixin import client_key
from limits.request_limits import Client


class _Refusing:
    """A service that serves nothing."""

    takes_body = True
    route_pattern = None

    def __init__(self, problem: Problem, provider_name: str | None = None) -> None:
        self.provider_name = provider_name
        self._problem = problem

    async def serve(self, handler: ProxyHandler) -> None:
        """Nothing is admitted, so nothing is served."""


class NotServed(_Refusing):
    """A path that leads nowhere; only who may use the bridge is told so.

    Args:
        problem: What to say.
        provider_name: The provider that the path is below, if there is one.
    """

    async def admit(self, handler: ProxyHandler) -> None:
        """Refuse, after everybody who would be refused anyway.

        Raises:
            Problem: always.
            OverloadedError: concurrency or rate.
        """
        await admit(handler)
        raise self._problem


class Misdirected(_Refusing):
    """A path of a provider's API where no provider is; everybody is told where one is.

    Args:
        problem: What to say.
    """

    async def admit(self, handler: ProxyHandler) -> None:
        """Refuse, counted by address.

        Raises:
            Problem: always.
            OverloadedError: rate.
        """
        await handler.count_request(Client(client_key(handler.client_ip)))
        raise self._problem


class ProviderRoot:
    """`HEAD` on a provider's root: clients ask whether anybody is there before they show a credential."""

    takes_body = False
    provider_name = None
    route_pattern = None

    async def admit(self, handler: ProxyHandler) -> None:
        """Let in without a token and without a slot, which nobody who is unknown may hold; counted by address.

        Raises:
            OverloadedError: rate.
        """
        await handler.count_request(Client(client_key(handler.client_ip)))

    async def serve(self, handler: ProxyHandler) -> None:
        """Respond with 200 without a body."""
        handler.set_server_timing()
        handler.set_header("Content-Length", "0")
