"""`/api/v2/aibridge/users/me/session`: a browser signs in with a token and out again.

It gets a session, in a cookie that no script can read and that no other site's page can send.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from handlers.base import IDENTITIES_UNAVAILABLE, TOO_MANY_FAILURES, BridgeHandler
from handlers.identity.credentials import HOST_SESSION_COOKIE, SESSION_COOKIE, Credentials
from handlers.problems import Problem
from limits.headers import retry_headers
from resources.accounts import SignIn
from storage.accounts.authentication import IdentitiesUnavailableError
from storage.accounts.events import Plane, Reason
from storage.accounts.sign_in.sessions import Method
from storage.accounts.sign_in.sign_ins import InvalidCodeError
from storage.accounts.users import Identity
from upstream.openid.documents import ProviderUnavailableError

FOREIGN = "Pages of other sites may not sign you in or out."
CODE_OVER = "This link has expired or was used: it works once, within ten minutes. Sign in with a token."
TOKEN_OFF = "Tokens do not sign in here (local-sign-in). Please sign in as the page offers it."  # noqa: S105 - a sentence
NOT_JSON = 'Send JSON, with Content-Type: application/json: {"token": "TOKEN"}'
SIGN_OUT_HEADER = "X-AI-Bridge-Sign-Out"
HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_log = logging.getLogger(__name__)

COOKIE_ATTRIBUTES: Mapping[str, Any] = {"path": "/", "httponly": True, "samesite": "Strict"}


class SmallBodyHandler(BridgeHandler):
    """Accepts a small body before authentication."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ("POST",)
    plane = Plane.SIGN_IN

    async def prepare(self) -> None:
        """Bound the body: its sender is not authenticated."""
        await super().prepare()
        self.set_header("Cache-Control", "no-store")


class SignInHandler(SmallBodyHandler):
    """Makes a session and sets its cookie, or ends it and clears that."""

    async def post(self) -> None:
        """Sign in: 204 and the cookie, which lasts until the browser is closed. A session that it replaces is ended."""
        self._refuse_foreign()
        sign_in = self._decode_request()
        if sign_in.token and not self.bridge.settings.local_sign_in:
            raise Problem(403, TOKEN_OFF)
        if sign_in.code:
            identity = await self._redeem(sign_in.code)
        else:
            identity = await self.authenticate(Credentials((sign_in.token or "").strip()), fresh=True)
        browser = self.request.headers.get("User-Agent", "")
        method = Method.LINK if sign_in.code else Method.TOKEN
        session = await self.bridge.sign_ins.create(
            identity, client_ip=self.client_ip, user_agent=browser, method=method
        )
        self.bridge.active_tokens.forget()
        await self._end_session()
        self.bridge.access.signed_in(self.client_ip, identity)
        # A page knows better than a server behind a proxy that is not trusted whether it was reached by TLS.
        secure = self.request.headers.get("Origin", self.scheme + ":").lower().startswith("https:")
        name = HOST_SESSION_COOKIE if secure else SESSION_COOKIE
        self.set_cookie(name, session, secure=secure, **COOKIE_ATTRIBUTES)
        self.set_status(204)

    async def delete(self) -> None:
        """Sign out: 204, the session is ended and the cookie cleared.

        A header has the URL at which the provider ends its own session.
        """
        self._refuse_foreign()
        if id_token := await self._end_session():
            await self._leave_provider(id_token)
        self.clear_cookie(SESSION_COOKIE, **COOKIE_ATTRIBUTES)
        self.clear_cookie(HOST_SESSION_COOKIE, secure=True, **COOKIE_ATTRIBUTES)
        self.set_status(204)

    async def _end_session(self) -> str:
        """End the session of the cookie, and return the ID token that it was made with, if one is kept."""
        if session := self.session_cookie:
            try:
                return await self.bridge.sign_ins.sign_out(session)
            except IdentitiesUnavailableError as error:
                raise Problem(503, IDENTITIES_UNAVAILABLE, {"Retry-After": "1"}) from error
        return ""

    async def _leave_provider(self, id_token: str) -> None:
        """Send the page the URL for signing out at the provider, if it is known. The session here has ended anyway."""
        openid, host = self.bridge.openid, self.request.headers.get("Host", "")
        if openid is None or not self.bridge.settings.oidc_sign_out or HOST.fullmatch(host) is None:
            return
        try:
            url = await openid.sign_out_url(id_token, f"{self.scheme}://{host}/")
        except ProviderUnavailableError as error:
            _log.warning("nobody is signed out of the provider: %s", error)
            return
        if url is not None:
            self.set_header(SIGN_OUT_HEADER, url)

    def _refuse_foreign(self) -> None:
        if self.is_foreign:
            raise Problem(403, FOREIGN)

    async def _redeem(self, code: str) -> Identity:
        if wait_ns := self.bridge.access.wait_ns(lambda: self.client_ip):
            raise Problem(429, TOO_MANY_FAILURES, retry_headers(wait_ns))
        try:
            return await self.bridge.sign_ins.redeem(code)
        except InvalidCodeError as error:
            self.note_failure(Reason.UNKNOWN)
            raise Problem(401, CODE_OVER, {"WWW-Authenticate": "Bearer"}) from error

    def _decode_request(self) -> SignIn:
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, NOT_JSON)
        try:
            sign_in = msgspec.json.decode(bytes(self._body), type=SignIn)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, NOT_JSON) from error
        if (sign_in.token is UNSET) == (sign_in.code is UNSET):
            raise Problem(400, NOT_JSON)
        return sign_in
