"""`/api/v2/aibridge/users/me/session`: a browser signs in with a token and out again.

The token becomes a cookie that no script can read and that no other site's page can send.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from tornado.web import stream_request_body

from handlers.access import Plane
from handlers.base import BridgeHandler
from handlers.bridge import Bridge
from handlers.credentials import SESSION_COOKIE, Credentials
from handlers.problems import Problem
from limits.mixin import client_key
from limits.overload import retry_headers
from limits.sliding_window import SlidingWindow

FOREIGN = "Another site's page may not sign you in or out."
NOT_JSON = 'Send JSON, with Content-Type: application/json: {"token": "TOKEN"}'
TOO_MANY = "Too many attempts to sign in from this address. Please try again later."
MAX_BODY_BYTES = 4096
# From one address, in any minute.
MAX_ATTEMPTS = 20
_MINUTE_NS = 60_000_000_000


class SignIn(msgspec.Struct):
    """The body of a POST."""

    token: str


def attempts() -> SlidingWindow:
    """How often an address may try; one for all requests of a process."""
    return SlidingWindow(MAX_ATTEMPTS, _MINUTE_NS, time.monotonic_ns)


@stream_request_body
class SignInHandler(BridgeHandler):
    """Sets the session cookie, or clears it."""

    plane = Plane.SIGN_IN

    def initialize(self, bridge: Bridge, attempts: SlidingWindow) -> None:  # type: ignore[override]
        """Receive the running bridge, and what counts the attempts."""
        super().initialize(bridge)
        self._attempts = attempts
        self._body = bytearray()

    async def prepare(self) -> None:
        """Bound the body: whoever sends it is not known yet."""
        self.exchange.set_max_body_size(MAX_BODY_BYTES)
        self.set_header("Cache-Control", "no-store")

    def data_received(self, chunk: bytes) -> None:
        """Collect the body."""
        self._body += chunk

    async def post(self) -> None:
        """Sign in: 204 and the cookie, which lasts until the browser is closed.

        Raises:
            Problem: 400 or 415, it is not what was expected; 401, the token is not valid; 403, another site asks; 429, too
                many attempts; 503, tokens cannot be verified now.
        """
        self._refuse_foreign()
        token = self._token()
        decision = self._attempts.admit(client_key(self.client_ip))
        if not decision.admitted:
            raise Problem(429, TOO_MANY, retry_headers(decision.retry_after_ns))
        identity = await self.authenticate(Credentials(token))
        self.bridge.access.signed_in(self.client_ip, identity)
        self.set_cookie(SESSION_COOKIE, token, **self._attributes())
        self.set_status(204)

    async def delete(self) -> None:
        """Sign out: 204, and the cookie is gone.

        Raises:
            Problem: 403, another site asks.
        """
        self._refuse_foreign()
        self.clear_cookie(SESSION_COOKIE, **self._attributes())
        self.set_status(204)

    def _refuse_foreign(self) -> None:
        if self.is_foreign:
            raise Problem(403, FOREIGN)

    def _token(self) -> str:
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, NOT_JSON)
        try:
            return msgspec.json.decode(bytes(self._body), type=SignIn).token.strip()
        except msgspec.DecodeError as error:
            raise Problem(400, NOT_JSON) from error

    def _attributes(self) -> dict[str, Any]:
        # A page knows better than a server behind a proxy that is not trusted whether it was reached by TLS.
        page = self.request.headers.get("Origin", self.scheme + "://")
        return {"path": "/", "secure": page.lower().startswith("https://"), "httponly": True, "samesite": "Strict"}
