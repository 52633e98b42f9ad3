"""A load generator that is never the bottleneck: one epoll loop, requests made beforehand, responses hardly looked at.

Every connection is kept. It sends the next request as soon as its response is whole, so there are as many requests at a
time as connections.
"""

from __future__ import annotations

import gc
import re
import select
import socket
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from benchmarks.stand.conversations import CONVERSATIONS, MARK, SENT_AT, CallSpec

RECEIVE_BYTES = 1 << 18
TICK_SECONDS = 0.05
SECOND = 1_000_000_000
_LAST_CHUNK = b"0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LoadTarget:
    """Where an API is requested: what stands before `/chat/completions` and the like, and further headers."""

    port: int
    prefix: str = "/v1"
    headers: Mapping[str, str] = field(default_factory=dict)

    def path(self, api: str) -> str:
        """The path of an API."""
        return self.prefix + CONVERSATIONS[api].path

    def request(self, spec: CallSpec, body: bytes | None = None) -> bytes:
        """A whole request, with another body than the usual where one is given."""
        body = spec.request_body() if body is None else body
        fixed = {"Host": f"127.0.0.1:{self.port}", "Content-Type": "application/json", "Content-Length": len(body)}
        lines = [
            f"POST {self.path(spec.api)} HTTP/1.1",
            *(f"{name}: {value}" for name, value in {**fixed, **self.headers}.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class LoadPlan:
    """How much to ask for. What is counted begins `warm_up` seconds after the start, and takes `seconds`.

    The connections begin one after the other, spread over `ramp` seconds.
    """

    spec: CallSpec
    connections: int
    seconds: float
    warm_up: float = 0.5
    ramp: float = 0.0


@dataclass
class Totals:
    """What came back while it was counted; times in nanoseconds. `before` and `after` are what was observed.

    `all_responses` and `all_events` have those of the time before it was counted as well.
    """

    responses: int = 0
    events: int = 0
    all_responses: int = 0
    all_events: int = 0
    first_bytes: array[int] = field(default_factory=lambda: array("q"))
    delays: array[int] = field(default_factory=lambda: array("q"))
    failures: Counter[str] = field(default_factory=Counter)
    open_streams: int = 0
    seconds: float = 0.0
    before: Any = None
    after: Any = None


class LoadConnection:
    """One connection: a request, its response, the next request."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.socket: socket.socket | None = None

    def send_request(self) -> None:
        """Send the request, on a new connection where there is none."""
        self._head = b""
        self._left = -1
        self._tail = b""
        self._marks = 0
        self.streaming = False
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self._load.port), timeout=10)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setblocking(False)
            self._reused = False
            self._load.watch(self)
        self._requested_at = monotonic_ns()
        self._unsent = memoryview(self._load.request)
        self.send()

    def send(self) -> None:
        """Send what is left of the request, as much as the socket takes."""
        assert self.socket is not None
        waited = len(self._unsent) < len(self._load.request)
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(type(error).__name__)
            return
        if waited or self._unsent:
            self._load.watch_writable(self, wanted=bool(self._unsent))

    def receive(self) -> None:
        """Take what has arrived; send the next request when the response is whole."""
        assert self.socket is not None
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except OSError as error:
            data, reason = b"", type(error).__name__
        else:
            reason = "closed before the response was whole"
        now = monotonic_ns()
        if not data:
            self._lost(reason)
        elif self._is_whole(data, now):
            self._complete()

    def _is_whole(self, data: bytes, now: int) -> bool:
        if not self.streaming:
            self._head += data
            head, _, data = self._head.partition(b"\r\n\r\n")
            if not data:
                return False
            self.streaming = True
            self._load.began(now - self._requested_at)
            length = _LENGTH.search(head)
            self._left = int(length[1]) if length else -1
            self._head = head[:12]
        self._marks += self._load.count(data, now)
        if self._left >= 0:
            self._left -= len(data)
            return self._left <= 0
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
        return self._tail == _LAST_CHUNK

    def _complete(self) -> None:
        if not self._head.endswith(b" 200"):
            self._load.failed(self._head.decode("latin-1"))
        elif self._marks != self._load.events_each:
            self._load.failed(f"{self._marks} events instead of {self._load.events_each}")
        else:
            self._load.responded()
        self._reused = True
        self.send_request()

    def _lost(self, reason: str) -> None:
        assert self.socket is not None
        idle = self._reused and not self._head and not self.streaming
        self.socket.close()
        self.socket = None
        if not idle:
            self._load.failed(reason)
        self.send_request()


class Load:
    """One run of a plan against a target."""

    def __init__(self, target: LoadTarget, plan: LoadPlan) -> None:
        self.port = target.port
        self.request = target.request(plan.spec)
        self.events_each = plan.spec.events
        self._plan = plan
        self._timed = plan.spec.gap_ms > 0
        self._epoll = select.epoll()
        self._connections: dict[int, LoadConnection] = {}
        self._totals = Totals()

    def run(self, observe: Callable[[], Any] = lambda: None) -> Totals:
        """Carry the plan out. `observe` is called when counting begins and when it ends.

        Raises:
            OSError: the target does not accept a connection.
        """
        plan, waiting = self._plan, [LoadConnection(self) for _ in range(self._plan.connections)]
        began = monotonic_ns()
        gc.collect()
        gc.disable()
        try:
            self._turn_until(began + int(plan.warm_up * SECOND), waiting, began)
            earlier, self._totals = self._totals, Totals(before=observe())
            counted = monotonic_ns()
            self._turn_until(counted + int(plan.seconds * SECOND), waiting, began)
            self._totals.seconds = (monotonic_ns() - counted) / SECOND
            self._totals.after = observe()
            self._totals.all_responses = earlier.responses + self._totals.responses
            self._totals.all_events = earlier.events + self._totals.events
        finally:
            gc.enable()
            self._totals.open_streams = sum(one.streaming for one in self._connections.values())
            for one in self._connections.values():
                if one.socket is not None:
                    one.socket.close()
            self._epoll.close()
        return self._totals

    def _turn_until(self, end: int, waiting: list[LoadConnection], began: int) -> None:
        total, ramp = self._plan.connections, int(self._plan.ramp * SECOND)
        while (now := monotonic_ns()) < end:
            while waiting and (total - len(waiting)) * ramp <= (now - began) * total:
                waiting.pop().send_request()
            seconds = min(TICK_SECONDS, (end - now) / SECOND)
            if waiting:
                seconds = min(seconds, ramp / total / SECOND)
            for descriptor, event in self._epoll.poll(seconds):
                if event & select.EPOLLOUT:
                    self._connections[descriptor].send()
                else:
                    self._connections[descriptor].receive()

    def watch(self, connection: LoadConnection) -> None:
        """Wait for what arrives on a new connection."""
        assert connection.socket is not None
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)

    def watch_writable(self, connection: LoadConnection, *, wanted: bool) -> None:
        """Wait also until a connection takes more of its request, or no longer."""
        assert connection.socket is not None
        self._epoll.modify(connection.socket, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def began(self, nanoseconds: int) -> None:
        """The first byte of a response's body came."""
        self._totals.first_bytes.append(nanoseconds)

    def count(self, data: bytes, now: int) -> int:
        """Count the events in a piece of a response, and how long each was under way unless its time was cut in two."""
        marks = data.count(MARK)
        self._totals.events += marks
        if self._timed:
            self._totals.delays.extend([now - int(sent) for sent in SENT_AT.findall(data)])
        return marks

    def responded(self) -> None:
        """A response was whole and as it should be."""
        self._totals.responses += 1

    def failed(self, reason: str) -> None:
        """A response was not."""
        self._totals.failures[reason] += 1
