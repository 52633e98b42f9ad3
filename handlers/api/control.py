"""The control plane: JSON resources for people and dashboards. Each user has a share of it."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import UNSET
from tornado.iostream import StreamClosedError

from handlers.base import STALL_SECONDS, BridgeHandler
from handlers.bridge import Bridge
from handlers.identity.credentials import Credentials, is_trusted
from handlers.problems import Error, Problem, Validation, ValidationProblem, database_unavailable
from intercept.secrets import scrub_quoted
from limits.headers import retry_headers
from limits.limit import SLOT_RETRY_NS
from limits.protection.concurrency import ConcurrencyLimit, Slot
from resources.fields import shown
from storage.accounts.authentication import Kind
from storage.accounts.sign_in.single_sign_on import PersonRefusedError, Refused
from storage.accounts.users import Identity, Role
from storage.mongo.database import DatabaseUnavailableError

# Bytes of a response that are written before the client has to read them.
PIECE_BYTES = 256 * 1024
TOO_MANY_REQUESTS = "You have {} requests in progress, the maximum for one user. Please try again when one has ended."
NOT_YOUR_DEMO = "Only owners may look at the demo company."
NO_DEMO = "There is no demo company. An owner can fill it in."
PROXY_REFUSED = {
    Refused.REMOVED: "Your user was removed. Please ask an owner.",
    Refused.NAME_NOT_ALLOWED: "The name that the proxy gives you is not allowed as a username.",
}


class IdentifiedHandler(BridgeHandler):
    """A JSON resource for users alone."""

    _share: Slot | None = None
    _unsent = 0

    @property
    def proxy_user(self) -> str | None:
        """The user that a trusted proxy names; none for requests from pages of other sites."""
        settings = self.bridge.settings
        if not settings.auth_proxy_header or not is_trusted(self.request.remote_ip or "", settings.trusted_proxies):
            return None
        named = self.request.headers.get_list(settings.auth_proxy_header)
        return named[0].strip() if len(named) == 1 and named[0].strip() and not self.is_foreign else None

    async def authenticate(self, credentials: Credentials, *, fresh: bool = False) -> Identity:
        """Authenticate the caller: by a token, a trusted proxy, or a session.

        Raises:
            Problem: 401 without any of them, 403 if the proxy names a user who may not sign in, 429 after too many
                failures, 503
                if the caller cannot be checked now.
        """
        if credentials.token is not None or (name := self.proxy_user) is None:
            return await super().authenticate(credentials, fresh=fresh)
        try:
            identity = Identity(user=await self.bridge.single_sign_on.admit_named(name))
        except PersonRefusedError as error:
            raise Problem(403, PROXY_REFUSED[error.why]) from error
        except DatabaseUnavailableError as error:
            raise database_unavailable() from error
        self.note_use(identity, Kind.SESSION)
        return identity

    async def identify(self, *, fresh: bool = False) -> None:
        """Authenticate the caller, and count a request of their share; `fresh` bypasses the cache.

        Raises:
            Problem: 401 without a valid token, 429 with too many requests in progress, 503 if the user cannot be
                checked now. Of the demo company: 403 and 404.
        """
        self.set_header("Cache-Control", "no-store")
        self.identity = await self.authenticate(self.read_credentials(), fresh=fresh)
        self.acquire_share("user_requests", self.bridge.shares.requests, TOO_MANY_REQUESTS)
        if self.bridge.real is not None:
            await self._enter_demo(self.bridge.real)

    async def _enter_demo(self, real: Bridge) -> None:
        """Go on as the auditor of the demo company.

        Raises:
            Problem: 403, the caller is no owner; 404, it is not there.
        """
        if self.identity.user.role is not Role.OWNER:
            raise Problem(403, NOT_YOUR_DEMO)
        opened = await real.demo.open(real)
        if opened is None:
            raise Problem(404, NO_DEMO)
        self.bridge, self.identity = opened

    def acquire_share(self, name: str, limit: ConcurrencyLimit, too_many: str) -> None:
        """Take a part of the user's share, instead of what the request holds. It is given back when the request ends.

        Args:
            name: The limit in metrics.
            limit: The limit.
            too_many: The message when the share is used up, with `{}` for the limit.

        Raises:
            Problem: 429, the share is used up.
        """
        share = limit.acquire(str(self.identity.user.id))
        if share is None:
            self.bridge.overload.refusals.note(name)
            raise Problem(429, too_many.format(limit.limit), retry_headers(SLOT_RETRY_NS))
        self._release_share()
        self._share = share
        if self.cycle.incomplete:  # the client has left
            self._release_share()

    def on_connection_close(self) -> None:
        """The client left. Tornado does not finish a request whose client leaves during `prepare`."""
        super().on_connection_close()
        if self.cycle.incomplete:
            self.on_finish()

    def on_finish(self) -> None:
        """Give the share back."""
        super().on_finish()
        self._release_share()

    def _release_share(self) -> None:
        if self._share is not None:
            self._share.release()

    def write_json(self, value: object, status: int = 200, *, version: str = "") -> None:
        """Put a value into the response, and the version of what it shows."""
        self.set_status(status)
        if version:
            self.set_header("ETag", f'"{version}"')
        self.set_header("Content-Type", "application/json")
        body = msgspec.json.encode(shown(value))
        self.write(body)
        self._unsent += len(body)

    async def write_piece(self, piece: bytes) -> None:
        """Put a piece into the response. Wait for the client whenever `PIECE_BYTES` are unsent.

        Raises:
            StreamClosedError: the client has left, or took nothing for `STALL_SECONDS`.
        """
        self.write(piece)
        self._unsent += len(piece)
        if self._unsent >= PIECE_BYTES:
            await self.send()

    async def send(self) -> None:
        """Send all that is written, wait until the client has read it, and yield to other requests.

        Raises:
            StreamClosedError: the client has left, or took nothing for `STALL_SECONDS`.
        """
        self._unsent = 0
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self.flush()
        except TimeoutError as error:
            self.cut()
            raise StreamClosedError from error
        await asyncio.sleep(0)

    async def finish_large(self) -> None:
        """Wait until the client has read a large response: the request holds its share until then."""
        if self._unsent >= PIECE_BYTES:
            if not self.cycle.started:
                self.set_header("Content-Length", str(self._unsent))
            await self.send()

    def error_body(self, problem: Problem) -> bytes:
        """Errors are `{message, detail?, validations?}`."""
        error = Error(problem.message)
        if isinstance(problem, ValidationProblem):
            error.detail = problem.detail or UNSET
            error.validations = [Validation(*one) for one in problem.validations] or UNSET
        return msgspec.json.encode(error)


class UnknownResourceHandler(BridgeHandler):
    """Whatever is not served."""

    async def prepare(self) -> None:
        """Refuse.

        Raises:
            Problem: 404, always.
        """
        raise Problem(404, f"not found: {self.request.method} {scrub_quoted(self.request.path)}")
