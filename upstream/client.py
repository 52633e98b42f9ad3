"""The one way out: opens a request to a provider and hands its answer over piece by piece.

Everything aiohttp is behind this seam. Its errors are translated here, with the cause chained:

UpstreamError
├── UpstreamUnreachableError    no answer: reset, not HTTP, a head without end
│   └── UpstreamNotAskedError   no connection: refused, no name, no TLS; nothing was sent
├── UpstreamTimeoutError        silent for longer than the idle timeout
├── UpstreamTruncatedError      the answer began and was cut
└── UpstreamEndlessError        an event of the answer has no end

A request is sent once. Who gets `UpstreamNotAskedError` may send it again: the provider cannot have acted on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from intercept.records import EndReason
from intercept.sse import LARGEST_EVENT_BYTES, UnfinishedEvent
from upstream.headers import Headers
from upstream.patience import Patience

# What is read ahead of a stream while its client takes nothing. Reading stops at twice that; what one read of the socket
# brings may come on top.
READ_BUFFER_BYTES = 64 * 1024
# Providers answer with cookies-and-policy headers of several KB; aiohttp's default of 8,190 is close to some.
MAX_HEADER_LINE_BYTES = 32 * 1024
MAX_HEADERS = 128
FIRST_FINAL_STATUS = 200
UNREADABLE_HEAD = (
    f"the provider's answer is not HTTP, or its head has more than {MAX_HEADERS} lines"
    f" or one of more than {MAX_HEADER_LINE_BYTES} bytes"
)
_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class UpstreamError(Exception):
    """The provider did not give a whole answer. The text is fit for a client: it names no address and no secret."""

    end_reason = EndReason.UPSTREAM_UNREACHABLE


class UpstreamUnreachableError(UpstreamError):
    """No answer began."""


class UpstreamNotAskedError(UpstreamUnreachableError):
    """Nothing of the request was sent."""


class UpstreamTimeoutError(UpstreamError):
    """Nothing came for longer than the idle timeout."""

    end_reason = EndReason.UPSTREAM_TIMEOUT


class UpstreamTruncatedError(UpstreamError):
    """The connection ended before the body did: reset, last chunk missing, or short of its Content-Length."""

    end_reason = EndReason.UPSTREAM_TRUNCATED


class UpstreamEndlessError(UpstreamError):
    """An event of the answer takes up more than `LARGEST_EVENT_BYTES`."""

    end_reason = EndReason.UPSTREAM_STREAM_ERROR


class UpstreamResponse:
    """An answer whose body is still to come. Reading is pulled, so a slow reader slows its upstream."""

    def __init__(self, response: aiohttp.ClientResponse, idle_timeout: float) -> None:
        self._response = response
        self._patience = Patience(idle_timeout, lambda: response.content.set_exception(TimeoutError()))
        self._event = UnfinishedEvent()
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: Headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
        ]
        # Where events end cannot be seen in what is compressed.
        self._has_events = self.is_event_stream and self.header("Content-Encoding", "identity") == "identity"

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, whatever its case."""
        return self._response.headers.get(name, default)

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return self.header("Content-Type").partition(";")[0].strip().lower() == "text/event-stream"

    async def read(self) -> bytes:
        """Wait for the next bytes; b"" is the clean end of the body.

        Raises:
            UpstreamTimeoutError: nothing came for longer than the idle timeout.
            UpstreamTruncatedError: the connection ended before the body did.
            UpstreamEndlessError: the bytes go on with an event that is too large already.
        """
        # aiohttp's own idle timeout is none where bytes come that are no body, and where it gave up on the trailers.
        with _translated(UpstreamTruncatedError), self._patience:
            chunk = await self._response.content.readany()
        if self._has_events:
            self._event.feed(chunk)
            if self._event.size > LARGEST_EVENT_BYTES:
                raise UpstreamEndlessError(f"the provider sent an event of more than {LARGEST_EVENT_BYTES} bytes")
        return chunk

    def close(self) -> None:
        """Give the connection back when the body was read whole, else close it at once. May be called twice."""
        self._patience.close()
        self._response.close()


class UpstreamClient:
    """Keep-alive connections to every provider. Belongs to one event loop; timeouts are in seconds."""

    def __init__(self, *, connect_timeout: float, idle_timeout: float) -> None:
        self._idle_timeout = idle_timeout
        self._head_timeout = connect_timeout + 2 * idle_timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=connect_timeout,
                sock_connect=connect_timeout,
                sock_read=idle_timeout,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC_HEADERS,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=MAX_HEADER_LINE_BYTES,
            max_field_size=MAX_HEADER_LINE_BYTES,
            max_headers=MAX_HEADERS,
            middlewares=(_sent_once,),
            request_class=_Request,
        )

    async def open(self, method: str, url: str, headers: Headers, body: bytes) -> UpstreamResponse:
        """Send a request and wait for the head of its answer. Cancelling closes the connection.

        Raises:
            UpstreamNotAskedError: nothing of it was sent.
            UpstreamUnreachableError: no answer began.
            UpstreamTimeoutError: nothing came for longer than the idle timeout, or no head for twice as long.
        """
        with _translated(UpstreamUnreachableError):
            async with asyncio.timeout(self._head_timeout) as deadline:
                response = await self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers=CIMultiDict((name, _as_text(value)) for name, value in headers),
                    data=_Upload(body, deadline, self._idle_timeout) if body else None,
                    allow_redirects=False,
                )
        if response.status < FIRST_FINAL_STATUS:
            response.close()
            raise UpstreamUnreachableError("the provider did not answer in HTTP")
        return UpstreamResponse(response, self._idle_timeout)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


class _Upload(BytesIO):
    """A request body, written in steps so that a large one holds nobody up, by a provider that goes on taking it.

    aiohttp's own idle timeout begins with the end of the body; from then on the deadline here only stands behind it.
    """

    def __init__(self, body: bytes, deadline: asyncio.Timeout, idle_timeout: float) -> None:
        super().__init__(body)
        self._size = len(body)
        self._deadline = deadline
        self._idle_timeout = idle_timeout

    def read(self, size: int | None = -1, /) -> bytes:
        """Hand over the next step, which says that the one before was taken."""
        step = super().read(size)
        patience = self._idle_timeout if self.tell() < self._size else 2 * self._idle_timeout
        self._deadline.reschedule(asyncio.get_running_loop().time() + patience)
        return step


class _Request(aiohttp.ClientRequest):
    """A request that knows when its connection was gone before the first byte: the provider had closed a kept one."""

    unsent = False

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Write the head and the body, of which nothing was written before."""
        transport = conn.transport
        self.unsent = transport is None or transport.is_closing()
        await super().write_bytes(writer, conn, content_length)


async def _sent_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Translate errors under the eyes of aiohttp, which would send requests of some methods again by itself."""
    with _translated(UpstreamUnreachableError):
        try:
            return await send(request)
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(request, _Request) and request.unsent:
                raise UpstreamNotAskedError("the provider closed the connection before it was asked") from error
            raise


def _as_text(value: str) -> str:
    """Turn a header value decoded as Latin-1 into text that aiohttp, which writes UTF-8, sends as the same bytes."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")


@contextmanager
def _translated(cut: Callable[[str], UpstreamError]) -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise UpstreamNotAskedError("the provider did not accept a connection in time") from error
    except TimeoutError as error:
        raise UpstreamTimeoutError("the provider sent nothing for longer than the idle timeout") from error
    except aiohttp.ClientConnectorError as error:
        raise UpstreamNotAskedError("no connection to the provider") from error
    except aiohttp.ClientResponseError as error:
        raise cut(UNREADABLE_HEAD) from error
    except (aiohttp.ClientError, OSError) as error:
        raise cut("the provider closed the connection before its answer was whole") from error
