"""The one way out: opens a request to a provider and hands its answer over piece by piece.

Everything aiohttp is behind this seam. Its errors are translated here, with the cause chained:

UpstreamError
├── UpstreamUnreachableError   no answer: refused, reset, no name, no TLS, not HTTP
├── UpstreamTimeoutError       silent for longer than the idle timeout
└── UpstreamTruncatedError     the answer began and was cut
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from intercept.records import EndReason
from upstream.headers import Headers

# A proxy holds what a provider may send before its client takes it: this much a stream, at most twice.
READ_BUFFER_BYTES = 64 * 1024
# Providers answer with cookies-and-policy headers of several KB; aiohttp's default of 8,190 is close to some.
MAX_HEADER_LINE_BYTES = 32 * 1024
FIRST_FINAL_STATUS = 200
_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class UpstreamError(Exception):
    """The provider did not give a whole answer. The text is fit for a client: it names no address and no secret."""

    end_reason = EndReason.UPSTREAM_UNREACHABLE


class UpstreamUnreachableError(UpstreamError):
    """No answer began."""


class UpstreamTimeoutError(UpstreamError):
    """Nothing came for longer than the idle timeout."""

    end_reason = EndReason.UPSTREAM_TIMEOUT


class UpstreamTruncatedError(UpstreamError):
    """The connection ended before the body did: reset, last chunk missing, or short of its Content-Length."""

    end_reason = EndReason.UPSTREAM_TRUNCATED


class UpstreamResponse:
    """An answer whose body is still to come. Reading is pulled, so a slow reader slows its upstream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: Headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
        ]

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, whatever its case."""
        return self._response.headers.get(name, default)

    async def read(self) -> bytes:
        """Wait for the next bytes; b"" is the clean end of the body.

        Raises:
            UpstreamTimeoutError: nothing came for longer than the idle timeout.
            UpstreamTruncatedError: the connection ended before the body did.
        """
        with _translated(UpstreamTruncatedError):
            return await self._response.content.readany()

    def close(self) -> None:
        """Give the connection back when the body was read whole, else close it at once. May be called twice."""
        self._response.close()


class UpstreamClient:
    """Keep-alive connections to every provider. Belongs to one event loop; timeouts are in seconds."""

    def __init__(self, *, connect_timeout: float, idle_timeout: float) -> None:
        self._idle_timeout = idle_timeout
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
        )

    async def open(self, method: str, url: str, headers: Headers, body: bytes) -> UpstreamResponse:
        """Send a request and wait for the head of its answer. Cancelling closes the connection.

        Raises:
            UpstreamUnreachableError: no answer began.
            UpstreamTimeoutError: nothing came for longer than the idle timeout.
        """
        with _translated(UpstreamUnreachableError):
            async with asyncio.timeout(None) as deadline:
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
        return UpstreamResponse(response)

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


def _as_text(value: str) -> str:
    """Turn a header value decoded as Latin-1 into text that aiohttp, which writes UTF-8, sends as the same bytes."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")


@contextmanager
def _translated(cut: Callable[[str], UpstreamError]) -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise UpstreamUnreachableError("the provider did not accept a connection in time") from error
    except TimeoutError as error:
        raise UpstreamTimeoutError("the provider sent nothing for longer than the idle timeout") from error
    except aiohttp.ClientConnectorError as error:
        raise UpstreamUnreachableError("no connection to the provider") from error
    except (aiohttp.ClientError, OSError) as error:
        raise cut("the provider closed the connection before its answer was whole") from error
