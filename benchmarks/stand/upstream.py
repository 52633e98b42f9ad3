"""An upstream that is never the bottleneck: one process, one epoll loop, responses made beforehand.

    .venv/bin/python -m benchmarks.stand.upstream

Prints its port. Every event of a stream is a write of
its own, as providers do it; a paced one leaves when it is due, whether or not the other side has kept up, as long as
the socket takes it.
"""

from __future__ import annotations

import heapq
import json
import re
import select
import socket
from collections.abc import Iterator
from itertools import count
from time import monotonic_ns

from benchmarks.stand.conversations import CONVERSATIONS, CallSpec

BACKLOG = 4096
RECEIVE_BYTES = 1 << 20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n"

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

WRITABLE = 0
Response = Iterator[int]
"""A response on its way. It goes on when the socket is writable, or at the time it has named in nanoseconds."""


def _chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112, section 7.1). A template in it becomes as long as it says itself to be."""
    return b"%x\r\n" % len(data.replace(b"%019d", bytes(19))) + data + b"\r\n"


def _body(body: bytes) -> bytes:
    return _HEAD % (b"application/json", b"Content-Length: %d" % len(body)) + body


MODELS = _body(
    json.dumps(
        {
            "object": "list",
            "data": [
                {"id": one.request_fields["model"], "object": "model", "created": 1760000000, "owned_by": "benchmarks"}
                for one in CONVERSATIONS.values()
            ],
        }
    ).encode()
)
"""For gateways that ask at their start which models there are."""

BODIES = {name: _body(one.body) for name, one in CONVERSATIONS.items()}
OPENINGS = {
    name: _HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked") + _chunk(one.opening)
    for name, one in CONVERSATIONS.items()
}
EVENTS = {name: _chunk(one.event) for name, one in CONVERSATIONS.items()}
CLOSINGS = {name: _chunk(one.closing) + _LAST_CHUNK for name, one in CONVERSATIONS.items()}


class Connection:
    """One connection, and the response that is being written to it."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.response: Response | None = None
        self._arrived = bytearray()
        self._head_bytes = 0  # none as long as the head is not whole

    def receive(self) -> bool:
        """Take what has arrived, and begin to answer a whole request. False when the other side has left."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._arrived += data
        if self._is_whole():
            head, body = bytes(self._arrived[: self._head_bytes]), bytes(self._arrived[self._head_bytes :])
            self._arrived.clear()
            self._head_bytes = 0
            self.response = self._respond(head, body)
        return bool(data)

    def _is_whole(self) -> bool:
        if not self._head_bytes:
            self._head_bytes = self._arrived.find(b"\r\n\r\n") + 4
            if self._head_bytes < 4:
                self._head_bytes = 0
                return False
            length = _LENGTH.search(self._arrived, 0, self._head_bytes)
            chunked = _CHUNKED.search(self._arrived, 0, self._head_bytes)
            self._request_bytes = None if chunked else self._head_bytes + (int(length[1]) if length else 0)
        if self._request_bytes is None:
            return self._arrived.endswith(_LAST_CHUNK)
        return len(self._arrived) >= self._request_bytes

    def _respond(self, head: bytes, body: bytes) -> Response:
        if head.startswith(b"GET ") and head.split(b" ", 2)[1].endswith(b"/models"):
            return self._write(MODELS)
        try:
            spec = CallSpec.of(head.split(b" ", 2)[1].decode(), body)
        except ValueError as error:
            print(error, head, flush=True)
            return self._write(BAD_REQUEST)
        return self._play(spec)

    def _play(self, spec: CallSpec) -> Response:
        name, events, gap_ns = spec.api, spec.events, spec.gap_ms * 1_000_000
        if spec.wait_ms:
            yield monotonic_ns() + spec.wait_ms * 1_000_000
        if not events:
            yield from self._write(BODIES[name])
            return
        yield from self._write(OPENINGS[name])
        due, event = monotonic_ns(), EVENTS[name]
        for _ in range(events):
            if gap_ns:
                due += gap_ns
                yield due
            yield from self._write(event % monotonic_ns())
        yield from self._write(CLOSINGS[name])

    def _write(self, data: bytes) -> Response:
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                yield WRITABLE


class Upstream:
    """Serves on a free port of the loopback address."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listening, select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._due: list[tuple[int, int, Connection]] = []
        self._order = count()

    def serve(self) -> None:
        """Serve until the process is ended."""
        while True:
            self._wait()
            for descriptor, event in self._epoll.poll(0):
                if descriptor == self._listening.fileno():
                    self._accept()
                else:
                    self._handle(self._connections[descriptor], event)
            now = monotonic_ns()
            while self._due and self._due[0][0] <= now:
                self._go_on(heapq.heappop(self._due)[2])

    def _wait(self) -> None:
        """Until something is ready or due; select counts in microseconds, epoll only in whole milliseconds."""
        seconds = max(0, self._due[0][0] - monotonic_ns()) / 1e9 if self._due else None
        select.select([self._epoll], [], [], seconds)

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except BlockingIOError:
                return
            connection = Connection(connected)
            self._connections[connection.socket.fileno()] = connection
            self._epoll.register(connection.socket, select.EPOLLIN)

    def _handle(self, connection: Connection, event: int) -> None:
        waiting = connection.response is None
        if event & select.EPOLLOUT:
            self._epoll.modify(connection.socket, select.EPOLLIN)
            self._go_on(connection)
        elif not connection.receive():
            self._close(connection)
        elif waiting and connection.response is not None:
            self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        if connection.response is None:  # its client has left
            return
        try:
            due = next(connection.response, None)
        except OSError:
            self._close(connection)
            return
        if due is None:
            connection.response = None
        elif due == WRITABLE:
            self._epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)
        else:
            heapq.heappush(self._due, (due, next(self._order), connection))

    def _close(self, connection: Connection) -> None:
        connection.response = None
        del self._connections[connection.socket.fileno()]
        connection.socket.close()


if __name__ == "__main__":
    upstream = Upstream()
    print(upstream.port, flush=True)
    upstream.serve()
