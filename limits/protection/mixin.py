"""Overload protection for Tornado's request handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address

from tornado.web import RequestHandler

from limits.authority import Held
from limits.headers import limit_headers
from limits.limit import Amounts, LimitState
from limits.protection.overload import OverloadProtection
from limits.request_limits import Client


class OverloadProtectionMixin(RequestHandler):
    """The limits of one request. Name it before the handler class that it protects.

    `prepare` calls `acquire_slot` first and `count_request` as soon as the client is known. What reads the body calls
    `count_call`. Each raises `OverloadedError`, which the handler answers with the error's status, message and
    headers; by then the request holds nothing any more. What an admitted request holds is freed when it finishes,
    whatever ended it.

    The handler sets `overload`.
    """

    overload: OverloadProtection
    _held: tuple[Held, ...] = ()
    _client: Client | None = None
    _over = False
    _states: tuple[LimitState, ...] = ()

    async def acquire_slot(self) -> None:
        """Take one of the server's slots; see `OverloadProtection.acquire_slot`."""
        self._hold(await self.overload.acquire_slot())

    async def count_request(self, client: Client) -> None:
        """Count the request for its client. From here on, every response has the headers of the tightest limit.

        Raises:
            OverloadedError: See `OverloadProtection.count_request`. The request holds nothing any more.
        """
        self._client = client
        await self._take(self.overload.count_request(client))

    async def count_call(self, reserve: Callable[[], Amounts]) -> None:
        """Count the request for the limits that need its body; see `OverloadProtection.count_call`.

        Raises:
            OverloadedError: A limit refuses it. The request holds nothing any more.
        """
        if self._client is None or not self.overload.limits.of_call(self._client):
            return
        await self._take(self.overload.count_call(self._client, reserve))

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the request uses."""
        return any(held.charged for held in self._held)

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the request has used since its start, before it finishes."""
        for held in self._held:
            held.charge(amounts, reserve)

    def release_slots(self) -> None:
        """Free what the request holds, and whatever it would still take; may be called at any time and again."""
        held, self._held = self._held, ()
        self._over = True
        for one in held:
            one.release()

    def on_finish(self) -> None:
        """Free what the request holds."""
        self.release_slots()
        super().on_finish()

    def set_default_headers(self) -> None:
        """Keep the headers when Tornado clears a response to write an error instead."""
        super().set_default_headers()
        self._set_limit_headers()

    def note_shadow(self, states: Sequence[LimitState]) -> None:
        """Called for limits that only count, if they would have refused the request."""

    async def _take(self, counting: Awaitable[Held]) -> None:
        """Hold what is counted; if that is refused, nothing any more."""
        try:
            held = await counting
        except Exception:
            self.release_slots()
            raise
        self._hold(held)
        self._set_limit_headers()

    def _hold(self, held: Held) -> None:
        self._held += (held,)
        self._states += held.states
        if held.shadow:
            self.note_shadow(held.shadow)
        # A client may leave while it is being identified: that request is over and finishes no second time.
        if self._over:
            self.release_slots()

    def _set_limit_headers(self) -> None:
        if self._states:
            for name, value in limit_headers(self._states).items():
                self.set_header(name, value)


def client_key(ip: str) -> str:
    """The key of a client without a token: its IPv4 address, or the /64 network of its IPv6 address.

    A /64 is the least that one customer gets (RFC 6177); text that is no address is a key of its own.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Network((int(address), 64), strict=False))
        address = address.ipv4_mapped
    return str(address)
