"""The request handler that runs operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import aclosing, suppress
from types import NoneType
from typing import Any

from msgspec import structs
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from handlers.api.control import IdentifiedHandler
from handlers.base import METHOD_NOT_ALLOWED
from handlers.bridge import Bridge
from handlers.operations.long_response import LongResponse
from handlers.operations.operation import (
    NOTE_HEADER,
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
from handlers.problems import Problem, ValidationProblem
from storage.accounts.users import is_meant
from storage.queries.paging import UnknownCursorError

ME = "me"
"""The caller, in a path."""

SWALLOWED_BYTES = 1024 * 1024
"""How much more of a body is read and thrown away, so that a client gets to see the response."""

NO_CURSOR = "no {} with this id that you may see"
ONLY_READ = "The demo company is only looked at: this cannot be done there."
NOT_JSON = "Send JSON, with Content-Type: application/json."
TOO_LARGE = "The request body is larger than the allowed {} bytes."

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


class OperationHandler(IdentifiedHandler):
    """The operations of one path.

    The caller is identified when the body has been read. Who asks for a change is looked up afresh, so that nobody
    changes anything who may no longer.
    """

    def initialize(self, bridge: Bridge, operations: Mapping[str, Operation]) -> None:  # type: ignore[override]
        """Receive the running bridge, and the operations by method."""
        self._operations = operations
        self._operation = operations.get("GET" if self.request.method == "HEAD" else self.request.method or "")
        self._body = bytearray()
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
                    await self.write_piece(piece)
            await self.finish_large()
        else:
            self._write_answer(operation, answer)
            await self.finish_large()

    get = post = put = patch = delete = head = run

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
        version = ""
        if isinstance(answer, Tagged):
            for note in answer.notes if isinstance(answer, Noted) else ():
                self.add_header(NOTE_HEADER, note)
            answer, version = answer.value, answer.version
        if operation.answer[0] is NoneType:
            self.set_status(operation.success)
            return
        if operation.located:
            self.set_header("Location", f"{self.request.path}/{getattr(answer, operation.located)}")
        self.write_json(answer, operation.success, version=version)

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

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say what cannot be done."""
        if isinstance(error, UnknownCursorError) and self._operation is not None:
            fields = [one.encode_name for one in structs.fields(self._operation.query)]
            after = next(name for name in fields if name.startswith("after_"))
            return ValidationProblem(INVALID, validations=[(after, NO_CURSOR.format(error.noun))])
        return problem_of(error) or super().problem_of(error)

    def on_connection_close(self) -> None:
        """The client left: nothing more is read for it."""
        super().on_connection_close()
        self._long.leave()

    def on_finish(self) -> None:
        """The response has ended."""
        super().on_finish()
        self.bridge.lifecycle.leave(self._long)
