"""The private attributes of Tornado's `RequestHandler` that handlers use, each with the reason. They are used here only.

A test searches `handlers/` for others. Written for Tornado 6.5 and 6.6.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable

from tornado.concurrent import future_set_result_unless_cancelled
from tornado.httputil import HTTPHeaders
from tornado.web import RequestHandler


def headers_of(handler: RequestHandler) -> HTTPHeaders:
    """Return the headers of the response, to read them, or to add ones that a parser has already checked.

    Tornado can only set, add and remove a header, and it matches each value against a pattern (see `add_checked`).
    """
    return handler._headers  # noqa: SLF001


def head_is_written(handler: RequestHandler) -> bool:
    """Whether the handler has written the head of its response, also where the client was gone by then.

    `RequestCycle.started` does not say: after a lost connection it is true in either case, as nothing can be sent any more.
    """
    return handler._headers_written  # noqa: SLF001


def discard_response(handler: RequestHandler) -> None:
    """Discard the prepared response: its headers, and what was written but not flushed.

    `RequestHandler.clear` puts three headers there that nobody here wants. To remove them again takes 5 us a request.
    """
    handler._headers = HTTPHeaders()  # noqa: SLF001
    handler._write_buffer = []  # noqa: SLF001


def serve_before_the_body(handler: RequestHandler, on_end: Callable[[Future[None]], None]) -> None:
    """Let Tornado call the handler's method now, though the body has not arrived; `on_end` is called when it has, or will not.

    Tornado waits for a future before it calls the method. Whoever ends the body sets the one that it finds then.
    """
    request = handler.request
    waited_for: Future[None] = request._body_future  # noqa: SLF001
    request._body_future = Future()  # noqa: SLF001
    request._body_future.add_done_callback(on_end)  # noqa: SLF001
    future_set_result_unless_cancelled(waited_for, None)
