"""The table of states, and that no sequence of events leaves it."""

import asyncio
import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPOutputError, ResponseStartLine
from tornado.testing import bind_unused_port

from http1 import request_cycle
from http1.server import BridgeServer
from http1.states import ENDS, TRANSITIONS, Event, InvalidTransitionError, State, next_state
from tests.cases import for_each

STATES = st.sampled_from(list(State))
EVENTS = st.sampled_from(list(Event))


def reachable(start):
    """The states that some sequence of events leads to."""
    found, new = set(), {start}
    while new:
        found |= new
        new = {after for state in new for after in TRANSITIONS[state].values()} - found
    return found


def test_every_state_can_be_reached_and_can_end():
    assert reachable(State.RECEIVING) == set(State) == set(TRANSITIONS)
    for state in State:
        assert reachable(state) & ENDS


@for_each("state", ENDS)
def test_an_end_is_final(state):
    assert reachable(state) == {state}


@given(STATES, EVENTS)
def test_what_is_not_in_the_table_raises(state, event):
    if event in TRANSITIONS[state]:
        assert next_state(state, event) in State
    else:
        with pytest.raises(InvalidTransitionError, match=f"{event.name} .* {state.name}"):
            next_state(state, event)


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
        self.moves = []
        self.handlers = []
        application = SimpleNamespace(find_handler=self.find_handler)
        self.server = BridgeServer(application, max_connections=9)
        listening, self.port = bind_unused_port()
        self.server.add_sockets([listening])

    def find_handler(self, request):
        self.handlers.append(Handler(request))
        return self.handlers[-1]

    def next_state(self, state, event):
        after = next_state(state, event)
        self.moves.append((state, event, after))
        return after

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
        if self.connection._body_deadline._timer is not None:
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
        self.handle(Event.RESPONSE_STARTS, lambda cycle: cycle.write_headers(ResponseStartLine("", 200, "OK"), headers))

    def write(self, piece):
        self.handle(Event.RESPONSE_CONTINUES, lambda cycle: cycle.write(piece))

    def finish(self):
        self.handle(Event.RESPONSE_ENDS, lambda cycle: cycle.finish())

    def handle(self, event, act):
        """Do something as the handler of the last request; what the table does not have changes nothing."""
        if not self.handlers:
            return
        cycle = self.handlers[-1].cycle
        before, moves = cycle.state, len(self.moves)
        if event in TRANSITIONS[before]:
            with suppress(HTTPOutputError):
                act(cycle)
                stays = before is TRANSITIONS[before][event]
                assert stays or self.moves[moves][:2] == (before, event)
        else:
            with pytest.raises(InvalidTransitionError):
                act(cycle)
            assert (cycle.state, len(self.moves)) == (before, moves)


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
TOLD = {State.DONE: [], State.UNDELIVERED: [], State.INCOMPLETE: ["left"], State.ABORTED: ["closed"]}


def check_one_end(play):
    """Each request went from state to state by the table to exactly one end, and its handler was told of it once."""
    for handler in play.handlers:
        end = handler.cycle.state
        complete = [] if end is State.INCOMPLETE else ["complete"]
        assert (end in ENDS, handler.notes) == (True, ["head", *complete, *TOLD[end]])
        assert not hasattr(handler.cycle, "delegate")
    entered = [after for before, _, after in play.moves if before not in ENDS and after in ENDS]
    assert len(entered) == len(play.handlers)


GET, POST, UNWANTED = HEADS[0] % b"", HEADS[2] % b"", HEADS[5] % b"unwanted"
RESPOND = [("start", None), ("write", b"x" * 16_000_000), ("finish",)]


@given(PLAYS)
@example([("send", GET), *RESPOND])
@example([("send", GET), *RESPOND, ("read",)])
@example([("send", POST), *RESPOND, ("close",)])
@example([("send", UNWANTED), ("send", BODY_TOO_LARGE), ("start", None)])
@example([("send", POST), ("expire_body",), ("start", None), ("finish",)])
@settings(max_examples=200, derandomize=True)
def run_random_plays(seen, patch, actions):
    async def run():
        play = Play()
        patch.setattr(request_cycle, "next_state", play.next_state)
        try:
            await play.run(actions)
        finally:
            play.server.stop()
            await play.server.close_all_connections()
            play.client.close()
        check_one_end(play)
        seen.update(play.moves)

    asyncio.run(run())


def test_no_sequence_of_events_leaves_the_table_or_ends_a_request_twice(monkeypatch):
    seen = set()
    run_random_plays(seen, monkeypatch)
    table = {(state, event, after) for state, row in TRANSITIONS.items() for event, after in row.items()}
    assert seen | {(State.RESPONDING, Event.RESPONSE_CONTINUES, State.RESPONDING)} == table


@for_each("state", State)
def test_an_exchange_is_over_once_nothing_more_can_be_sent(state):
    cycle = request_cycle.RequestCycle.__new__(request_cycle.RequestCycle)
    cycle.state = state
    assert cycle.ended is (state in {State.DONE, State.UNDELIVERED, State.INCOMPLETE, State.ABORTED})
