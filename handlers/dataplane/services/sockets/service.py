"""The handshake of a WebSocket, for OpenAI's responses or its Realtime API."""

from __future__ import annotations

import base64
import secrets

from websockets.utils import accept_key

from handlers.dataplane.admission import admit
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Relay
from handlers.dataplane.services.sockets.hops import ClientHop, ProviderHop
from handlers.dataplane.services.sockets.realtime import RealtimeSession
from handlers.dataplane.services.sockets.session import SocketSession
from handlers.dataplane.upstream_request import Destination, UpstreamRequest, check_destination, upstream_problem
from handlers.identity.credentials import PROTOCOL_HEADER, upstream_protocols
from handlers.problems import Problem, stopping
from handlers.tornado_private import headers_of
from http1.requests import add_checked
from intercept.catalog import REALTIME
from intercept.ids import format_id
from intercept.refusals import Rule
from limits.limit import NOTHING
from upstream.client import UpstreamError
from upstream.headers import to_client
from upstream.response import SWITCHING_PROTOCOLS

VERSION = "13"
KEY_BYTES = 16
"""The bytes of a `Sec-WebSocket-Key`, without base64 (RFC 6455 section 4.1)."""
WEBSOCKET_ID_HEADER = "X-AI-Bridge-WebSocket-Id"
NOT_A_HANDSHAKE = "This is no WebSocket handshake: it needs Sec-WebSocket-Key, and Sec-WebSocket-Version 13."
FOREIGN_ORIGIN = "A page of another origin may not open a WebSocket here."
TOO_MANY_SOCKETS = "You have {} WebSockets open, the maximum for one user in this process."
WRONG_ACCEPT = "the provider's answer to the WebSocket handshake is wrong"
# What belongs to one hop of a WebSocket: the handshake, and compression, which the bridge does not offer.
_OF_A_HOP = ("Sec-WebSocket-Key", "Sec-WebSocket-Accept", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions")


class ApiSocket:
    """The service of a WebSocket. It holds no slot after its handshake; each response over it takes one."""

    takes_body = False

    def __init__(self, to: Destination) -> None:
        self.provider_name = to.provider.name
        self.route_pattern = to.route.pattern
        self._to = to
        self._session = RealtimeSession if to.route.api is REALTIME else SocketSession

    async def admit(self, handler: ProxyHandler) -> None:
        """Admit a user whose request can be sent, and who may have a response to it now. The handshake counts in rates.

        Raises:
            Problem: 403, 426, or as `admission.admit`.
            OverloadedError: Any limit, as of a call whose body is not read.
        """
        await admit(handler)
        await handler.count_call(lambda: NOTHING)
        check_destination(handler, self._to)
        self._session.check_address(handler, self._to)
        if handler.bridge.lifecycle.streams_closed:
            raise stopping()
        if handler.is_foreign and not handler.protocol_key:
            raise Problem(403, FOREIGN_ORIGIN, rule=Rule.WEBSOCKET)
        headers = handler.request.headers
        if headers.get("Sec-WebSocket-Version") != VERSION or not _is_key(headers.get("Sec-WebSocket-Key", "")):
            raise Problem(426, NOT_A_HANDSHAKE, {"Sec-WebSocket-Version": VERSION}, rule=Rule.WEBSOCKET)
        handler.release_slots()

    async def serve(self, handler: ProxyHandler) -> None:
        """Shake hands with the provider, then with the client, and relay. A refusal of the provider is relayed as it is.

        Raises:
            Problem: The provider sent no response; or the user has too many WebSockets.
        """
        sockets, user_key = handler.bridge.shares.sockets, format_id(handler.identity.user.id)
        slot = sockets.acquire(user_key)
        if slot is None:
            raise Problem(429, TOO_MANY_SOCKETS.format(sockets.limit), rule=Rule.WEBSOCKET)
        try:
            await self._relay(handler)
        finally:
            slot.release()

    async def _relay(self, handler: ProxyHandler) -> None:
        key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        sent = UpstreamRequest(handler, self._to, model=self._to.route.pattern, upgrade=_handshake(key, handler))
        try:
            response = await sent.open()
            try:
                if response.status != SWITCHING_PROTOCOLS:
                    await Relay(handler).run(response)
                    return
                if response.header("Sec-WebSocket-Accept") != accept_key(key):
                    raise Problem(502, f"{self.provider_name}: {WRONG_ACCEPT}.")
                client = ClientHop(handler.cycle, handler.bridge.settings.max_body_bytes)
                provider = ProviderHop(response)
                await self._accept(handler, to_client(response.headers, _OF_A_HOP))
                await self._session(handler, self._to, sent, client, provider).run()
            finally:
                response.close()
        except UpstreamError as error:
            raise upstream_problem(handler, self._to.provider, error) from error

    async def _accept(self, handler: ProxyHandler, received: list[tuple[str, str]]) -> None:
        handler.set_status(SWITCHING_PROTOCOLS)
        headers = headers_of(handler)
        for name, value in received:
            add_checked(headers, name, value)
        handler.set_header("Upgrade", "websocket")
        handler.set_header("Connection", "Upgrade")
        handler.set_header(WEBSOCKET_ID_HEADER, handler.request_id)
        handler.set_header("Sec-WebSocket-Accept", accept_key(handler.request.headers["Sec-WebSocket-Key"]))
        handler.set_server_timing()
        await handler.flush()


def _handshake(key: str, handler: ProxyHandler) -> list[tuple[str, str]]:
    offered = handler.request.headers.get(PROTOCOL_HEADER, "")
    protocols = upstream_protocols(offered, keeps_billing=handler.bridge.settings.allow_billing_headers)
    return [
        *([(PROTOCOL_HEADER, protocols)] if protocols else []),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", VERSION),
        ("Sec-WebSocket-Key", key),
    ]


def _is_key(text: str) -> bool:
    """Whether this may be a `Sec-WebSocket-Key`."""
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except ValueError:
        return False
