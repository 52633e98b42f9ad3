"""Requests below a provider, or for one, that lead to no provider."""

from __future__ import annotations

from handlers.dataplane.admission import admit
from handlers.dataplane.proxy import ProxyHandler
from handlers.problems import Problem
from limits.protection.mixin import client_key
from limits.request_limits import Client


class NotServed:
    """The service of a request that is answered by what its path is alone.

    Args:
        problem: What to say; None for who only asks whether anybody is there, and is told so.
        provider_name: The provider that the path is below, if there is one.
        needs_token: Whether only who may use the bridge is told. Others are counted by address and hold no slot.
    """

    route_pattern = None

    def __init__(self, problem: Problem | None, provider_name: str | None = None, *, needs_token: bool) -> None:
        self.takes_body = problem is not None
        self.provider_name = provider_name
        self._problem = problem
        self._needs_token = needs_token

    async def admit(self, handler: ProxyHandler) -> None:
        """Refuse the request, once it may be told anything; let in who only asks whether anybody is there.

        Raises:
            Problem: The one to say, or as `admission.admit`.
        """
        if self._needs_token:
            await admit(handler)
        else:
            await handler.count_request(Client(client_key(handler.client_ip)))
        if self._problem is not None:
            raise self._problem

    async def serve(self, handler: ProxyHandler) -> None:
        """Respond with 200 without a body."""
        handler.set_server_timing()
        handler.set_header("Content-Length", "0")
