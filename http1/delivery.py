"""Gives the body of a request to its handler, each piece when the handler has finished with the one before."""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from http1.errors import BODY_TOO_LARGE, InvalidRequestError
from http1.request_cycle import RequestCycle
from http1.response_writer import ResponseWriter
from intercept.refusals import Rule

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

logger = logging.getLogger(__name__)


class Receiving(Protocol):
    """What the delivery of a body needs of its connection.

    Attributes:
        writer: Takes what is written to the client.
        parse_error: What is wrong with the bytes that arrived last.
    """

    writer: ResponseWriter
    parse_error: InvalidRequestError | None

    def serves(self, cycle: RequestCycle) -> bool:
        """Whether this request is the one being answered, and can still be."""

    def resume_with_room(self) -> None:
        """Read on, unless as much is buffered as may be."""

    def body_ended(self) -> None:
        """Wait no longer for the body."""

    def refuse(self, error: InvalidRequestError) -> None:
        """Respond in the place of the handler, and close."""

    def abort(self) -> None:
        """Close at once."""


class Delivery:
    """Of the body of one request."""

    __slots__ = ("_connection", "_cycle", "_received_bytes", "_step")

    def __init__(self, connection: Receiving, cycle: RequestCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._received_bytes = 0
        self._step: Future[None] | None = None
        """What the handler does before it can be given more."""

    def begin(self) -> None:
        """Give the handler the head, then what has arrived of the body."""
        request = self._cycle.request
        self._deliver_after(self._cycle.delegate.headers_received(request.start_line, request.headers), self._first)

    def go_on(self) -> None:
        """Give the handler what has arrived since, unless it is busy: then it gets it later."""
        if self._step is None:
            self._next()

    def _first(self) -> None:
        """Begin with the body, now that the handler has said whether it wants one and how large it may be."""
        cycle, request = self._cycle, self._cycle.request
        if request.declared_bytes > cycle.max_body_size:
            self._refuse_large_body()
            return
        if not cycle.wants_body:
            self._end()
        elif not request.whole and not cycle.started and request.expects_continue:
            self._connection.writer.write(_CONTINUE)
        self._next()

    def _next(self) -> None:
        """Pass on what has arrived, or discard it if the handler does not want it."""
        cycle, request, connection = self._cycle, self._cycle.request, self._connection
        if request.size:
            piece = request.read_buffered()
            self._received_bytes += len(piece)
            if self._received_bytes > cycle.max_body_size:
                self._refuse_large_body()
                return
            connection.resume_with_room()
            if cycle.awaits_body and (delivered := cycle.delegate.data_received(piece)) is not None:
                self._deliver_after(delivered, self._next)
                return
        if not cycle.awaits_body:
            return
        if request.whole:
            self._end()
        elif connection.parse_error is not None:
            connection.refuse(connection.parse_error)

    def _end(self) -> None:
        """Tell the handler that no more of the body comes, unless it knows."""
        if self._cycle.awaits_body:
            self._connection.body_ended()
            self._cycle.end_request()

    def _refuse_large_body(self) -> None:
        text = BODY_TOO_LARGE.format(self._cycle.max_body_size)
        self._connection.refuse(InvalidRequestError(text, Rule.BODY_TOO_LARGE))

    def _deliver_after(self, step: Awaitable[None] | None, then: Callable[[], None]) -> None:
        """Deliver no more until the handler has finished a step."""
        if step is None:
            then()
            return
        self._step = asyncio.ensure_future(step)  # noqa: TID251 - its callback sees what it raised
        self._step.add_done_callback(lambda done: self._continue(done, then))

    def _continue(self, done: Future[Any], then: Callable[[], None]) -> None:
        self._step = None
        try:
            done.result()
            if self._connection.serves(self._cycle):
                then()
        except (Exception, asyncio.CancelledError):
            logger.exception("unforeseen error")
            self._connection.abort()
