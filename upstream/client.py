"""The one way out: opens a request to a provider and hands its response over piece by piece.

How HTTP is spoken is behind this seam. Its errors are translated here, with the cause chained:

UpstreamError
├── UpstreamUnreachableError    no response: reset, not HTTP, a head without end
│   ├── UpstreamNotReachedError   no connection: refused, no name, no TLS; nothing was sent
│   └── CredentialError           no credential of the bridge's for it; nothing was sent
├── UpstreamTimeoutError        silent for longer than the idle timeout
└── UpstreamTruncatedError      the response began and was cut

A request is sent once. After `UpstreamNotReachedError` the caller may send it again: the provider cannot have acted on it.
"""

from __future__ import annotations

from collections.abc import Callable

from httptools import HttpParserError

from intercept.apis import EVENTS
from intercept.records import Connecting, EndReason
from upstream.body_stream import BodyStream
from upstream.connections.connection import Connection, OnChunk
from upstream.connections.network import DIRECT, Network, Origin, locate
from upstream.connections.pool import Connections, describe
from upstream.headers import Headers, request_head
from upstream.response import MAX_HEADER_LINE_BYTES, MAX_HEADERS, SWITCHING_PROTOCOLS, Response

CONNECT_SECONDS = 10.0
"""How long finding the address, connecting and TLS may take together."""

FIRST_FINAL_STATUS = 200
UNREADABLE_HEAD = (
    f"the provider's response is not HTTP, or its head has more than {MAX_HEADERS} lines"
    f" or one of more than {MAX_HEADER_LINE_BYTES} bytes"
)


class UpstreamError(Exception):
    """The provider did not send a whole response. The text is fit for a client: it names no address and no secret."""

    end_reason = EndReason.UPSTREAM_UNREACHABLE


class UpstreamUnreachableError(UpstreamError):
    """No response began."""


class UpstreamNotReachedError(UpstreamUnreachableError):
    """Nothing of the request was sent."""


class CredentialError(UpstreamUnreachableError):
    """The bridge has no credential that the provider accepts. Trying again at once is no use."""


class UpstreamTimeoutError(UpstreamError):
    """Nothing came for longer than the idle timeout."""

    end_reason = EndReason.UPSTREAM_TIMEOUT


class UpstreamTruncatedError(UpstreamError):
    """The connection ended before the body did: reset, last chunk missing, or short of its Content-Length."""

    end_reason = EndReason.UPSTREAM_TRUNCATED


class UpstreamResponse:
    """A response whose body is still to come. A callback gets the body; if it pauses, the provider has to wait.

    Attributes:
        content_type: Of the body, in lower case and without parameters.
        is_event_stream: Whether the body is a stream of server-sent events.
        has_events: Whether those can be read as they come: they are not compressed.
        connecting: How long making the connection took; None where it was there already.
    """

    def __init__(
        self, connections: Connections, connection: Connection, response: Response, connecting: Connecting | None
    ) -> None:
        self.connecting = connecting
        self._connections = connections
        self._connection: Connection | None = connection
        self._response = response
        self._peeked = b""
        self._failure: UpstreamError | None = None
        self.status = response.status
        self.reason = response.reason
        self.headers: Headers = response.headers
        self._first = {name.lower(): value for name, value in reversed(response.headers)}
        self.content_type = self.header("Content-Type").partition(";")[0].strip().lower()
        self.is_event_stream = self.content_type == EVENTS
        self.has_events = self.is_event_stream and self.header("Content-Encoding", "identity") == "identity"

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, whatever its case."""
        return self._first.get(name.lower(), default)

    def buffered(self) -> bytes:
        """Remove and return the buffered bytes; may be empty."""
        peeked, self._peeked = self._peeked, b""
        if self._connection is None or not self._response.size:
            return peeked
        return peeked + self._connection.read_buffered(self._response)

    async def peek(self, size: int) -> bytes:
        """Wait for the beginning of the body: at least `size` bytes, or all of a shorter one. It stays in the buffer.

        If the body fails, `stream_to` raises that after the bytes that came before. Cancelling closes the connection.
        """
        begun = bytearray()

        def collect(piece: bytes) -> bool:
            begun.extend(piece)
            return len(begun) < size

        try:
            while len(begun) < size and not await self.stream_to(collect):
                pass
        except UpstreamError as error:
            self._failure = error
        except BaseException:
            self.close()
            raise
        self._peeked = bytes(begun)
        return self._peeked

    async def stream_to(self, on_chunk: OnChunk) -> bool:
        """Pass each piece to `on_chunk` at once, until `on_chunk` returns False.

        Return whether the body has ended cleanly. Exceptions of `on_chunk` pass through.

        Raises:
            UpstreamTimeoutError: nothing came for longer than the idle timeout.
            UpstreamTruncatedError: the connection ended before the body did.
        """
        if self._failure is not None:
            raise self._failure
        if self._connection is None:
            return True
        try:
            whole = await self._connection.stream_to(self._response, on_chunk)
        except (OSError, HttpParserError) as error:
            raise _translated(error, UpstreamTruncatedError) from error
        if whole:
            self.close()
        return whole

    async def send(self, data: bytes) -> None:
        """Send bytes of another protocol, after a 101; return when they are written.

        Raises:
            UpstreamTruncatedError: The connection is closed.
        """
        try:
            if self._connection is not None:
                await self._connection.send(data)
        except ConnectionError as error:
            raise _translated(error, UpstreamTruncatedError) from error

    def close(self) -> None:
        """Give the connection back when the body has come whole, else close it at once. May be called twice."""
        if self._connection is not None:
            self._connections.release(self._connection)
            self._connection = None


class UpstreamClient:
    """Keep-alive connections to every provider. Belongs to one event loop.

    Args:
        idle_timeout: How long a provider may be silent, in seconds.
        egress_hosts: Names and domains of the only hosts to connect to, with commas between; empty is all.
        connect_timeout: For finding the address, connecting and TLS together, in seconds.
    """

    def __init__(
        self, *, idle_timeout: float, egress_hosts: str = "", connect_timeout: float = CONNECT_SECONDS
    ) -> None:
        self._connections = Connections(connect_timeout, idle_timeout, egress_hosts)

    async def open(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes | bytearray | BodyStream,
        *,
        network: Network = DIRECT,
        upgrades: bool = False,
    ) -> UpstreamResponse:
        """Send a request and wait for the head of its response. Cancelling closes the connection.

        With `upgrades` the headers request another protocol, and the response may be 101. Its body is everything after that.
        `network` is how to connect. A `BodyStream` is sent while it arrives; its failure is raised unchanged.

        Raises:
            UpstreamNotReachedError: nothing of it was sent.
            UpstreamUnreachableError: no response began.
            UpstreamTimeoutError: nothing came for longer than the idle timeout, or no head for twice as long.
        """
        origin, target = locate(url)
        if network is not DIRECT:
            origin = origin._replace(network=network)
        length = body.length if isinstance(body, BodyStream) else len(body)
        head = request_head(method, target, origin.authority, headers, length)
        connecting = None
        if (kept := self._connections.reuse(origin)) is not None:
            connection = kept
        else:
            connection, connecting = await self._connect(origin)
        if not connection.usable:
            raise UpstreamNotReachedError("the provider closed the connection before the request")
        if isinstance(body, BodyStream):
            if body.failure is not None:
                connection.abort()
                raise body.failure
            response = connection.send_streamed(method, head, body)
        else:
            response = connection.send_request(method, head, body, upgrades=upgrades)
        try:
            await connection.head(response)
        except BaseException as error:
            connection.abort()
            if isinstance(error, OSError | HttpParserError):
                raise _translated(error, UpstreamUnreachableError) from error
            raise
        if not _is_chunked_at_most(response.headers):
            connection.abort()
            raise UpstreamUnreachableError("the provider's response has a transfer coding that was not requested")
        if response.status < FIRST_FINAL_STATUS and not (upgrades and response.status == SWITCHING_PROTOCOLS):
            connection.abort()
            raise UpstreamUnreachableError("the provider did not answer in HTTP")
        return UpstreamResponse(self._connections, connection, response, connecting)

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()

    async def _connect(self, origin: Origin) -> tuple[Connection, Connecting]:
        try:
            return await self._connections.connect(origin)
        except TimeoutError as error:
            raise UpstreamNotReachedError("the provider did not accept a connection in time") from error
        except (OSError, UnicodeError) as error:
            raise UpstreamNotReachedError(f"no connection to the provider: {describe(error)}") from error


def _is_chunked_at_most(headers: Headers) -> bool:
    """Whether the body has no other transfer coding than chunked: no `TE` is sent, so it may not (RFC 9112 7.4)."""
    codings = [value.strip().lower() for name, value in headers if name.lower() == "transfer-encoding"]
    return codings in ([], ["chunked"], ["identity"])


def _translated(error: Exception, cut: Callable[[str], UpstreamError]) -> UpstreamError:
    if isinstance(error, TimeoutError):
        return UpstreamTimeoutError("the provider sent nothing for longer than the idle timeout")
    if isinstance(error, HttpParserError):
        return cut(UNREADABLE_HEAD)
    return cut("the provider closed the connection before its response was complete")
