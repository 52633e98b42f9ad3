"""Overload protection for Tornado's request handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from types import MappingProxyType

from tornado.web import RequestHandler

from limits.admission import Slot
from limits.overload import OverloadProtection


class OverloadProtectionMixin(RequestHandler):
    """Slots and rate for one request; to be named before the handler class it protects.

    `prepare` calls `take_slot` first and `count_request` as soon as the client is known. Either raises
    `OverloadedError`, which the handler answers with the error's status, message and headers; by then the request holds
    no slot any more. What an admitted request holds is freed when it finishes, whatever ended it.

    The handler sets `overload`.
    """

    overload: OverloadProtection
    _held: tuple[Slot, ...] = ()
    _server_slots: tuple[Slot, ...] = ()
    _over = False
    _rate_headers: Mapping[str, str] = MappingProxyType({})

    async def take_slot(self) -> None:
        """Take one of the server's slots.

        Raises:
            OverloadedError: 503, all are taken.
        """
        self._server_slots = await self.overload.take_slot()
        self._hold(self._server_slots)

    def take_over_slot(self, slots: Sequence[Slot]) -> None:
        """Take a slot of the server that another request held."""
        self._server_slots = tuple(slots)
        self._hold(self._server_slots)

    def hand_over_slot(self) -> Sequence[Slot]:
        """Give up the slot of the server without freeing it; it belongs to the caller."""
        slots, self._server_slots = self._server_slots, ()
        self._held = tuple(slot for slot in self._held if slot not in slots)
        return slots

    async def count_request(self, key: str, user_key: str | None = None) -> None:
        """Count the request for `key` and, if there is a user, for them too, and take one of the user's slots.

        Every answer from here on says how much of the rate is left.

        Raises:
            OverloadedError: 429. Nothing was counted, and the slot that `take_slot` took is free again.
        """
        try:
            slots, headers = await self.overload.count_request(key, user_key)
        except Exception:
            self.release_slots()
            raise
        self._hold(slots)
        self._rate_headers = headers
        self._set_rate_headers()

    @property
    def holds_slots(self) -> bool:
        """Whether the request was admitted, and is not over."""
        return bool(self._held)

    def release_slots(self) -> None:
        """Free what the request holds, and whatever it would still take; may be called at any time and again."""
        held, self._held = self._held, ()
        self._over = True
        for slot in held:
            slot.release()

    def on_finish(self) -> None:
        """Free what the request holds."""
        self.release_slots()
        super().on_finish()

    def set_default_headers(self) -> None:
        """Keep the rate headers when Tornado clears an answer to write an error instead."""
        super().set_default_headers()
        self._set_rate_headers()

    def _hold(self, slots: tuple[Slot, ...]) -> None:
        self._held += slots
        # A client may leave while it is being identified: that request is over and finishes no second time.
        if self._over:
            self.release_slots()

    def _set_rate_headers(self) -> None:
        for name, value in self._rate_headers.items():
            self.set_header(name, value)


def client_key(ip: str) -> str:
    """The key that stands for a client without a token: its IPv4 address, or the /64 network of its IPv6 address.

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
