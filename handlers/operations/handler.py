"""The request handler that runs operations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing, suppress
from types import NoneType
from typing import Any

import msgspec
from msgspec import UNSET, structs
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from handlers.base import METHOD_NOT_ALLOWED, STALL_SECONDS, BridgeHandler
from handlers.bridge import Bridge
from handlers.identity.credentials import Credentials, is_trusted
from handlers.operations.long_response import LongResponse
from handlers.operations.operation import (
    NOTE_HEADER,
    PIECE_BYTES,
    SERVICE,
    Ask,
    Download,
    Noted,
    Operation,
    Pieces,
    Tagged,
)
from handlers.operations.problems import problem_of
from handlers.operations.query import INVALID, read_query
from handlers.problems import Error, Problem, Validation, ValidationProblem, database_unavailable
from limits.headers import retry_headers
from limits.limit import SLOT_RETRY_NS
from limits.protection.concurrency import ConcurrencyLimit, Slot
from resources.fields import shown
from storage.accounts.authentication import Kind
from storage.accounts.sign_in.single_sign_on import PersonRefusedError, Refused
from storage.accounts.users import Identity, Role, is_meant
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.paging import UnknownCursorError

ME = "me"
"""The caller, in a path."""

SWALLOWED_BYTES = 1024 * 1024
"""How much more of a body is read and thrown away, so that a client gets to see the response."""

NO_CURSOR = "no {} with this id that you may see"
ONLY_READ = "The demo company is only looked at: this cannot be done there."
NOT_JSON = "Send JSON, with Content-Type: application/json."
TOO_LARGE = "The request body is larger than the allowed {} bytes."

TOO_MANY_REQUESTS = "You have {} requests in progress, the maximum for one user. Please try again when one has ended."
NOT_YOUR_DEMO = "Only owners may look at the demo company."
NO_DEMO = "There is no demo company. An owner can fill it in."
PROXY_REFUSED = {
    Refused.REMOVED: "Your user was removed. Please ask an owner.",
    Refused.NAME_NOT_ALLOWED: "The name that the proxy gives you is not allowed as a username.",
}

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


class OperationHandler(BridgeHandler):
    """The operations of one path.

    The caller is identified when the body has been read. Who asks for a change is looked up afresh, so that nobody
    changes anything who may no longer. Each user has a share of the control plane, of which a request takes a part.
    """

    _share: Slot | None = None
    _unsent = 0

    def initialize(self, bridge: Bridge, operations: Mapping[str, Operation]) -> None:  # type: ignore[override]
        """Receive the running bridge, and the operations by method."""
        self._operations = operations
        self._operation = operations.get("GET" if self.request.method == "HEAD" else self.request.method or "")
        self._long = LongResponse(self)
        super().initialize(bridge)

    @property
    def takes_body(self) -> bool:
        """Whether the operation has a body."""
        return self._operation is not None and self._operation.body is not None

    @property
    def allowed(self) -> str:
        """The methods that are served."""
        return ", ".join(
            method
            for method in self.SUPPORTED_METHODS
            if method in self._operations or (method == "HEAD" and "GET" in self._operations)
        )

    async def prepare(self) -> None:
        """Bound the body. More is read than is used, so that a body that is too large gets an error with the allowed size."""
        if self._operation is None:
            raise HTTPError(METHOD_NOT_ALLOWED)
        if self.cycle.wants_body:
            self.cycle.set_max_body_size(SWALLOWED_BYTES)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, as far as it may be used."""
        if self._operation is not None and len(self._body) <= self._operation.max_body:
            self._body += chunk

    async def run(self, *path: str) -> None:
        """Run the operation, and send what it returns."""
        operation = self._operation
        if operation is None:
            raise HTTPError(METHOD_NOT_ALLOWED)
        await self.identify(fresh=not operation.is_reading)
        if operation.is_reading and self.cycle.ended:
            return
        if self.bridge.real is not None and not operation.is_in_demo:
            raise Problem(403, ONLY_READ)
        parts = dict(zip(operation.path_parameters, path, strict=True))
        if operation.is_for_people and self.identity.user.is_service:
            raise Problem(403, SERVICE)
        if operation.own:
            self._find_own(operation, parts)
        elif self.identity.user.role not in operation.who.roles:
            raise Problem(403, operation.refusal)
        arguments = operation.read_path(parts) | self._further(operation)
        with suppress(StreamClosedError):
            if operation.is_long and self.request.method != "HEAD":
                await self._long.run(operation, arguments)
            else:
                await self.answer(operation, await operation.function(**arguments))

    async def answer(self, operation: Operation, answer: Any) -> None:
        """Send what an operation returned."""
        if isinstance(answer, Download):
            await self._send_download(answer)
        elif isinstance(answer, Pieces):
            self.set_header("Content-Type", "application/json")
            async with aclosing(answer.pieces) as pieces:
                async for piece in pieces:
                    self._put(piece)
                    if self._unsent >= PIECE_BYTES:
                        await self.send()
            await self._finish_large()
        else:
            self._write_answer(operation, answer)
            await self._finish_large()

    get = post = put = patch = delete = head = run

    async def authenticate(self, credentials: Credentials, *, fresh: bool = False) -> Identity:
        """Authenticate the caller: by a token, a trusted proxy, or a session.

        Raises:
            Problem: 401 without any of them, 403 if the proxy names a user who may not sign in, 429 after too many
                failures, 503 if the caller cannot be checked now.
        """
        if credentials.token is not None or (name := self._proxy_user()) is None:
            return await super().authenticate(credentials, fresh=fresh)
        try:
            identity = Identity(user=await self.bridge.single_sign_on.admit_named(name))
        except PersonRefusedError as error:
            raise Problem(403, PROXY_REFUSED[error.why]) from error
        except DatabaseUnavailableError as error:
            raise database_unavailable() from error
        self.note_use(identity, Kind.SESSION)
        return identity

    def _proxy_user(self) -> str | None:
        """The user that a trusted proxy names; none for requests from pages of other sites."""
        settings = self.bridge.settings
        if not settings.auth_proxy_header or not is_trusted(self.request.remote_ip or "", settings.trusted_proxies):
            return None
        named = self.request.headers.get_list(settings.auth_proxy_header)
        return named[0].strip() if len(named) == 1 and named[0].strip() and not self.is_foreign else None

    async def identify(self, *, fresh: bool = False) -> None:
        """Authenticate the caller, and count a request of their share; `fresh` bypasses the cache.

        Raises:
            Problem: 401 without a valid token, 429 with too many requests in progress, 503 if the user cannot be
                checked now. Of the demo company: 403, the caller is no owner; 404, it is
                not there.
        """
        self.set_header("Cache-Control", "no-store")
        self.identity = await self.authenticate(self.read_credentials(), fresh=fresh)
        self.acquire_share("user_requests", self.bridge.shares.requests, TOO_MANY_REQUESTS)
        if (real := self.bridge.real) is not None:
            if self.identity.user.role is not Role.OWNER:
                raise Problem(403, NOT_YOUR_DEMO)
            if (opened := await real.demo.open(real)) is None:
                raise Problem(404, NO_DEMO)
            self.bridge, self.identity = opened  # the caller goes on as the auditor of the demo company

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
            self.bridge.overload.note_refusal(name)
            raise Problem(429, too_many.format(limit.limit), retry_headers(SLOT_RETRY_NS))
        self._release_share()
        self._share = share
        if self.cycle.incomplete:  # the client has left
            self._release_share()

    def _find_own(self, operation: Operation, parts: dict[str, str]) -> None:
        """Put the name of the caller in the place of `me`, and check that the caller may ask for those of others.

        Raises:
            Problem: 403, they may not.
        """
        me = self.identity.user
        first = next(iter(parts))
        if parts[first] == ME or is_meant(parts[first], me):
            parts[first] = me.username
        elif me.role not in operation.who.roles:
            raise Problem(403, operation.refusal)

    def _further(self, operation: Operation) -> dict[str, Any]:
        """What an operation is given beside the parts of its path: those that it names."""
        found: dict[str, Any] = {}
        if operation.is_reading or "query" in operation.hints:
            found["query"] = read_query(operation.query, self.request.query_arguments, self.bridge.now())
        if operation.body is not None:
            found["body"] = operation.body[1](self._whole_body(operation), self.bridge.now())
        found["ask"] = Ask(
            self.bridge,
            self.identity,
            self.client_ip,
            is_head=self.request.method == "HEAD",
            origin=f"{self.scheme}://{self.request.headers.get('Host', '')}",
        )
        found["report"] = self._long
        found["versions"] = self._versions
        return {name: value for name, value in found.items() if name in operation.hints}

    def _whole_body(self, operation: Operation) -> bytes:
        """The body.

        Raises:
            Problem: 413, it is too large; 415, it is not declared as JSON.
        """
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, NOT_JSON)
        if len(self._body) > operation.max_body:
            raise Problem(413, TOO_LARGE.format(operation.max_body))
        return bytes(self._body)

    @property
    def _versions(self) -> frozenset[str] | None:
        given = ",".join(self.request.headers.get_list("If-Match")).strip()
        if given in {"", "*"}:
            return None
        return frozenset(tag for weak, tag in _ENTITY_TAG.findall(given) if not weak)  # a weak one never matches

    def _write_answer(self, operation: Operation, answer: Any) -> None:
        self.set_status(operation.success)
        if isinstance(answer, Tagged):
            for note in answer.notes if isinstance(answer, Noted) else ():
                self.add_header(NOTE_HEADER, note)
            if answer.version:
                self.set_header("ETag", f'"{answer.version}"')
            answer = answer.value
        if operation.answer[0] is NoneType:
            return
        if operation.located:
            self.set_header("Location", f"{self.request.path}/{getattr(answer, operation.located)}")
        self.set_header("Content-Type", "application/json")
        self._put(msgspec.json.encode(shown(answer)))

    def _put(self, piece: bytes) -> None:
        self.write(piece)
        self._unsent += len(piece)

    async def _send_download(self, download: Download) -> None:
        self.set_header("Content-Type", download.content_type)
        self.set_header("Content-Disposition", f'attachment; filename="{download.name}"')
        async with aclosing(download.pieces) as pieces:
            if self.request.method == "HEAD":
                await self.flush()
                return
            async for piece in pieces:
                self.write(piece)
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

    async def _finish_large(self) -> None:
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

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say what cannot be done."""
        if isinstance(error, UnknownCursorError) and self._operation is not None:
            fields = [one.encode_name for one in structs.fields(self._operation.query)]
            after = next(name for name in fields if name.startswith("after_"))
            return ValidationProblem(INVALID, validations=[(after, NO_CURSOR.format(error.noun))])
        return problem_of(error) or super().problem_of(error)

    def on_connection_close(self) -> None:
        """The client left. Tornado does not finish a request whose client leaves during `prepare`."""
        super().on_connection_close()
        if self.cycle.incomplete:
            self.on_finish()
        self._long.leave()

    def on_finish(self) -> None:
        """The response has ended: give the share back."""
        super().on_finish()
        self._release_share()
        self.bridge.lifecycle.leave(self._long)

    def _release_share(self) -> None:
        if self._share is not None:
            self._share.release()
