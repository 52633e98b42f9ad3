"""How exchanges end: each in one way, whatever client, handler and server do in whatever order."""

import asyncio
import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPOutputError, ResponseStartLine
from tornado.testing import bind_unused_port

from http1.request_cycle import OUT_OF_ORDER
from http1.server import BridgeServer


class Handler(HTTPMessageDelegate):
    """Does what a test says, and notes what it is told."""

    def __init__(self, request):
        self.cycle = request.connection
        self.cycle.set_close_callback(lambda: self.notes.append("closed"))
        self.script = request.path
        self.notes = []
        self.step = None

    def _wait(self):
        self.step = asyncio.get_running_loop().create_future() if "waits" in self.script else None
        return self.step

    def headers_received(self, start_line, headers):
        self.notes.append("head")
        if "unwanted" in self.script:
            self.cycle.refuse_body()
        self.cycle.set_max_body_size(30)
        return self._wait()

    def data_received(self, chunk):
        assert self.notes == ["head"]
        return self._wait()

    def finish(self):
        self.notes.append("complete")

    def on_connection_close(self):
        self.notes.append("left")


class Play:
    """One connection whose client, handler and server do what a test says, with the rules that must hold."""

    def __init__(self):
        self.handlers = []
        application = SimpleNamespace(find_handler=self.find_handler)
        self.server = BridgeServer(application, max_connections=9)
        listening, self.port = bind_unused_port()
        self.server.add_sockets([listening])

    def find_handler(self, request):
        self.handlers.append(Handler(request))
        return self.handlers[-1]

    async def run(self, actions):
        self.client = socket.create_connection(("127.0.0.1", self.port))
        self.client.setblocking(False)
        while not self.server.connections:  # noqa: ASYNC110 - the server accepts in the next iterations
            await asyncio.sleep(0)
        (self.connection,) = self.server.connections
        for name, *arguments in actions:
            with suppress(OSError):
                getattr(self, name)(*arguments)
            for _ in range(3):
                await asyncio.sleep(0)
        self.client.close()
        for handler in self.handlers:
            if handler.step is not None and not handler.step.done():
                handler.step.set_result(None)
        await self.server.close_all_connections()
        assert self.connection._cycle is None
        assert self.connection._body_deadline._timer is None

    # the client

    def send(self, data):
        self.client.send(data)

    def read(self):
        while self.client.recv(2**20):
            pass

    def shut(self):
        self.client.shutdown(socket.SHUT_WR)

    # the server

    def close(self):
        self.connection.abort()

    def expire_body(self):
        if self.connection._body_deadline.is_set:
            self.connection._refuse_late_body()

    def expire_idle(self):
        options = self.server.options
        options.idle_seconds, before = 0, options.idle_seconds
        self.connection.check_idle()
        options.idle_seconds = before

    # the handler

    def proceed(self):
        step = self.handlers[-1].step if self.handlers else None
        if step is not None and not step.done():
            step.set_result(None)

    def start(self, length):
        headers = HTTPHeaders({} if length is None else {"Content-Length": str(length)})
        self.handle(lambda cycle: cycle.write_headers(ResponseStartLine("", 200, "OK"), headers), begins=True)

    def write(self, piece):
        self.handle(lambda cycle: cycle.write(piece))

    def finish(self):
        self.handle(lambda cycle: cycle.finish())

    def handle(self, act, *, begins=False):
        """Do something as the handler of the last request; what is out of order raises and changes nothing."""
        if not self.handlers:
            return
        cycle = self.handlers[-1].cycle
        before = facts(cycle)
        if not cycle.finished and (cycle.ended or cycle.begun is not begins):
            with suppress(HTTPOutputError):
                act(cycle)
        else:
            with pytest.raises(HTTPOutputError, match=OUT_OF_ORDER):
                act(cycle)
            assert facts(cycle) == before


def facts(cycle):
    return cycle.awaits_body, cycle.begun, cycle.finished, cycle.ended, cycle.incomplete


HEADS = [
    b"GET /%b HTTP/1.1\r\nHost: b\r\n\r\n",
    b"GET /%b HTTP/1.0\r\n\r\n",
    b"POST /%b HTTP/1.1\r\nHost: b\r\nContent-Length: 20\r\n\r\n",
    b"POST /%b HTTP/1.1\r\nHost: b\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n",
    b"POST /%b HTTP/1.1\r\nHost: b\r\nContent-Length: 40\r\n\r\n",
    b"POST /%b HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
]
SCRIPTS = [b"", b"waits", b"unwanted", b"waits-unwanted"]
REQUESTS = st.builds(lambda head, script: head % script, st.sampled_from(HEADS), st.sampled_from(SCRIPTS))
BODY_TOO_LARGE = b"28\r\n" + b"x" * 40 + b"\r\n"
BODIES = st.sampled_from(
    [b"0123456789", b"a\r\n0123456789\r\n", b"0\r\n\r\n", b"14\r\n01234567890123456789\r\n", b"\0\r\n\r\n"]
)
ACTIONS = st.one_of(
    st.tuples(st.just("send"), BODIES),
    st.tuples(st.just("send"), BODIES),
    st.tuples(st.just("start"), st.sampled_from([None, None, 4])),
    st.tuples(st.just("write"), st.sampled_from([b"1234", b"1234", b"x" * 8_000_000])),
    st.tuples(st.just("finish")),
    st.tuples(st.just("finish")),
    st.tuples(st.just("proceed")),
    st.tuples(st.just("proceed")),
    st.tuples(st.just("send"), REQUESTS),
    st.tuples(st.sampled_from(["read", "shut", "close", "expire_body", "expire_idle"])),
)
PLAYS = st.builds(lambda request, actions: [("send", request), *actions], REQUESTS, st.lists(ACTIONS, max_size=12))


def check_one_end(play):
    """Each exchange came to one end, and its handler was told of it once, unless it had finished the response."""
    for handler in play.handlers:
        cycle = handler.cycle
        assert cycle.ended
        assert not cycle.awaits_body
        assert not (cycle.finished and cycle.incomplete)
        told = ["left"] if cycle.incomplete else ["complete"] if cycle.finished else ["complete", "closed"]
        assert handler.notes == ["head", *told]
        assert not hasattr(cycle, "delegate")


GET, POST, UNWANTED = HEADS[0] % b"", HEADS[2] % b"", HEADS[5] % b"unwanted"
RESPOND = [("start", None), ("write", b"x" * 16_000_000), ("finish",)]


@given(PLAYS)
@example([("send", GET), *RESPOND])
@example([("send", GET), *RESPOND, ("read",)])
@example([("send", POST), *RESPOND, ("close",)])
@example([("send", UNWANTED), ("send", BODY_TOO_LARGE), ("start", None)])
@example([("send", POST), ("expire_body",), ("start", None), ("finish",)])
@settings(max_examples=200, derandomize=True)
def run_random_plays(seen, actions):
    async def run():
        play = Play()
        try:
            await play.run(actions)
        finally:
            play.server.stop()
            await play.server.close_all_connections()
            play.client.close()
        check_one_end(play)
        seen.update(tuple(handler.notes) for handler in play.handlers)

    asyncio.run(run())


def test_no_sequence_of_events_ends_an_exchange_twice_or_in_the_middle():
    seen = set()
    run_random_plays(seen)
    assert seen == {("head", "left"), ("head", "complete"), ("head", "complete", "closed")}
