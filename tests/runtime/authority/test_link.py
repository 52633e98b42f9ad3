"""Both ends of the socket between a worker and its supervisor, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from intercept.refusals import Rule
from limits.authority import LocalAuthority
from limits.kinds.calendar import bounds_of
from limits.limit import NOTHING, Amounts, Kind, Limit, Of, Period
from limits.limiter import Limiter
from runtime.authority import ServerAuthority, SupervisorLink, WorkerLink
from runtime.authority.frames import frame
from runtime.authority.link import MAX_LINE_BYTES
from runtime.authority.messages import FromWorker, Start, encode
from tests.limits.clock import SECOND

SLOTS = Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", 10)
RATE = Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:a", 100, window_ns=1000 * SECOND)
TOKENS = Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:a", 1000, window_ns=1000 * SECOND)


class Waiting(LocalAuthority):
    """Decides when its gate is open, as one does that has to ask somebody."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()
        self.requested = asyncio.Semaphore(0)
        self.start_now = lambda limits, reserve=NOTHING: None

    async def start(self, limits, reserve=NOTHING):
        self.requested.release()
        await self.gate.wait()
        return await super().start(limits, reserve)


class Server:
    """What decides in the supervisor, with as many workers as a test asks for."""

    def __init__(self, local):
        self.local = local
        self.authority = ServerAuthority(local)
        self.ends = []

    async def worker(self):
        """A worker that serves: its authority, and both ends of its socket."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        _, upper = await loop.create_unix_connection(lambda: SupervisorLink(self.authority), sock=ours)
        lost = asyncio.Event()
        _, lower = await loop.create_unix_connection(lambda: WorkerLink(Limiter(), on_lost=lost.set), sock=theirs)
        lower.serve()
        assert await upper.first_line == b""
        self.ends += [upper, lower]
        return lower.authority, upper, lower, lost

    async def raw(self):
        """A supervisor's end, and a socket on which a test says what it likes."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        _, upper = await asyncio.get_running_loop().create_unix_connection(
            lambda: SupervisorLink(self.authority), sock=ours
        )
        self.ends.append(upper)
        return upper, theirs

    def used(self):
        return {state.limit.rule: state.used for state in self.local.limiter.usage(10)}

    async def leave(self):
        for one in self.ends:
            one.close()
        await asyncio.sleep(0)


@pytest.fixture
def server(io_loop):
    server = io_loop.run_sync(make)
    yield server
    io_loop.run_sync(server.leave)


async def make():
    return Server(LocalAuthority())


@pytest.mark.gen_test
async def test_a_burst_over_two_workers_takes_as_many_slots_as_there_are(server):
    workers = [await server.worker() for _ in range(2)]
    decisions = await asyncio.gather(*(authority.start((SLOTS, RATE)) for authority, *_ in workers * 200))
    admitted = [one.ticket is not None for one in decisions]
    assert (len(admitted), sum(admitted)) == (400, 10)
    refused = next(one for one in decisions if one.ticket is None)
    assert (refused.refused_by.limit, refused.refused_by.used) == (SLOTS, 10)
    assert server.used() == {Rule.CONCURRENCY: 10, Rule.RATE: 10}


@pytest.mark.gen_test
async def test_what_one_loop_iteration_brings_goes_in_one_message(server):
    authority, upper, lower, _ = await server.worker()
    sent, answered = [], []
    lower._transport = Recorded(lower._transport, sent)
    upper._transport = Recorded(upper._transport, answered)
    await asyncio.gather(*(authority.start((SLOTS,)) for _ in range(50)))
    assert (len(sent), len(answered)) == (1, 1)


class Recorded:
    """A transport that notes what is written."""

    def __init__(self, transport, noted):
        self._transport = transport
        self._noted = noted

    def write(self, data):
        self._noted.append(data)
        self._transport.write(data)

    def close(self):
        self._transport.close()


@pytest.mark.gen_test
async def test_slots_and_reservations_of_a_worker_that_is_gone_are_free_at_once(server):
    authority, upper, lower, _ = await server.worker()
    reserving = Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:a", 1000, window_ns=SECOND, reserve=True)
    for _ in range(3):
        assert (await authority.start((SLOTS, RATE, reserving), Amounts(300))).ticket
    gone = asyncio.Event()
    close = upper._desk.close
    upper._desk.close = lambda: (close(), gone.set())
    lower._transport.abort()
    await gone.wait()
    assert len(server.local.limiter) == 0
    assert server.used() == {Rule.RATE: 3}  # starts stay in their window
    other, *_ = await server.worker()
    decision = await other.start((SLOTS, RATE, reserving), Amounts(1000))
    assert [state.used for state in decision.states] == [1, 4, 0]


@pytest.mark.gen_test
async def test_tokens_that_a_worker_charged_bind_another_one(server):
    (one, *_), (other, *_) = await server.worker(), await server.worker()
    decision = await one.start((TOKENS,))
    one.charge(decision.ticket, Amounts(600))
    one.charge(decision.ticket, Amounts(1000))
    one.end(decision.ticket)
    await one.usage(1)  # answered after what was said before
    refused = await other.start((TOKENS,))
    assert (refused.ticket, refused.refused_by.used, refused.refused_by.remaining) == (None, 1000, 0)
    assert 0 < refused.retry_after_ns <= 1000 * SECOND


@pytest.mark.gen_test
async def test_each_worker_hears_what_all_others_say_of_themselves(server):
    authorities = [(await server.worker())[0] for _ in range(3)]
    for number, authority in enumerate(authorities):
        authority.report = lambda number=number: b"%d" % number
    assert sorted(await authorities[0].reports()) == [b"1", b"2"]
    alone = Server(LocalAuthority())
    authority, *_ = await alone.worker()
    assert await authority.reports() == []
    await alone.leave()


@pytest.mark.gen_test
async def test_a_worker_that_says_nothing_of_itself_is_left_out_and_not_asked_again(server):
    (asking, *_), (_, _, silent, _), (speaking, *_) = [await server.worker() for _ in range(3)]
    silent._transport.pause_reading()
    speaking.report = lambda: b"here"
    assert await asking.reports() == [b"here"]
    assert await asking.reports() == [b"here"]
    desk = server.ends[2]._desk
    assert desk._outgoing.wanted == []
    silent.authority.report = lambda: b"late"
    silent._transport.resume_reading()
    said = []
    while said != [b"here", b"late"]:
        said = sorted(await asking.reports())


@pytest.mark.gen_test
async def test_a_decision_that_takes_a_while_holds_no_other_up_and_may_be_given_up(io_loop):
    waiting = Waiting()
    server = Server(waiting)
    authority, *_ = await server.worker()
    starts = [asyncio.create_task(authority.start((SLOTS,))) for _ in range(3)]
    for _ in starts:
        await waiting.requested.acquire()
    starts[1].cancel()
    await authority.usage(1)  # answered after what was said before
    waiting.gate.set()
    decisions = [await starts[0], await starts[2]]
    assert all(one.ticket for one in decisions)
    assert len(waiting.limiter) == 2
    await server.leave()


@pytest.mark.gen_test
async def test_a_worker_keeps_to_itself_what_a_supervisor_does_not_read(server):
    authority, upper, lower, _ = await server.worker()
    upper._transport.pause_reading()
    starts = []
    while not lower._paused:
        starts += [asyncio.create_task(authority.start((SLOTS,))) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    size = lower._transport.get_write_buffer_size()
    starts += [asyncio.create_task(authority.start((SLOTS,))) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lower._transport.get_write_buffer_size() <= size
    upper._transport.resume_reading()
    assert sum([(await one).ticket is not None for one in starts]) == 10
    assert not authority.unavailable


@pytest.mark.gen_test
async def test_the_supervisor_reads_nothing_more_from_a_worker_that_does_not_read(server):
    upper, theirs = await server.raw()
    theirs.send(b"\n")
    number, full = 0, False
    while not full:
        number += 1
        message = encode(FromWorker(starts=[Start(number, (RATE,) * 100, NOTHING)]))
        try:
            full = theirs.send(message) < len(message)
        except BlockingIOError:
            full = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert upper._transport.get_write_buffer_size() < 1024 * 1024
    theirs.close()


@pytest.mark.parametrize("said", [frame(b"\xc1"), b"\xff\xff\xff\xff"])
@pytest.mark.expects_log("^ERROR runtime.authority.link: closing the link to a worker: ")
@pytest.mark.gen_test
async def test_a_worker_that_says_nonsense_is_given_up_with_what_it_held(server, said):
    upper, theirs = await server.raw()
    theirs.send(b"\n" + encode(FromWorker(starts=[Start(1, (SLOTS,), NOTHING)])) + said)
    await asyncio.get_running_loop().sock_recv(theirs, 1000)
    while await asyncio.get_running_loop().sock_recv(theirs, 1000):
        pass
    assert await upper.first_line == b""
    assert len(server.local.limiter) == 0
    theirs.close()


@pytest.mark.expects_log("^ERROR runtime.authority.link: closing the link to a worker: ")
@pytest.mark.gen_test
async def test_two_requests_with_one_number_are_nonsense(server):
    _, theirs = await server.raw()
    theirs.send(b"\n" + encode(FromWorker(starts=[Start(1, (SLOTS,), NOTHING)] * 2)))
    while await asyncio.get_running_loop().sock_recv(theirs, 1000):
        pass
    assert len(server.local.limiter) == 0
    theirs.close()


@pytest.mark.expects_log("^ERROR runtime.authority.link: closing the link to a worker: a worker begins with no line$")
@pytest.mark.gen_test
async def test_a_worker_that_begins_with_no_line_is_given_up(server):
    upper, theirs = await server.raw()
    theirs.send(bytes(MAX_LINE_BYTES + 1))
    assert await upper.first_line is None
    theirs.close()


@pytest.mark.gen_test
async def test_the_reason_why_a_worker_does_not_serve_arrives_in_pieces(server):
    upper, theirs = await server.raw()
    for piece in (b"no room for ", b"the spool", b"\n"):
        theirs.send(piece)
        await asyncio.sleep(0)
    assert await upper.first_line == b"no room for the spool"
    theirs.close()


@pytest.mark.gen_test
async def test_a_worker_learns_that_the_supervisor_is_gone(server):
    _, upper, _, lost = await server.worker()
    upper.close()
    await lost.wait()


@pytest.mark.expects_log("^ERROR runtime.authority.link: closing the link to the supervisor: ")
@pytest.mark.gen_test
async def test_a_supervisor_that_says_nonsense_is_given_up(server):
    _, upper, _, lost = await server.worker()
    upper._transport.write(frame(b"\xc1"))
    await lost.wait()


@pytest.mark.gen_test
async def test_what_a_worker_restores_of_a_budget_counts_for_all(server):
    budget = Limit(Kind.BUDGET, Rule.USER_BUDGET, Of.USER, "user:a", 1000, period=Period.MONTH)
    first, *_ = await server.worker()
    second, *_ = await server.worker()
    begin = bounds_of(Period.MONTH, "UTC", time.time_ns()).begin_ns
    first.restore(budget, 400, begin)
    second.restore(budget, 300, begin)
    await second.start((SLOTS,))
    await first.start((SLOTS,))
    (state,) = [state for state in await second.usage(9) if state.limit.kind is Kind.BUDGET]
    assert (state.limit, state.used) == (budget, 400)


@pytest.mark.gen_test
async def test_workers_learn_when_the_server_decides_alone_and_when_it_does_no_more(server):
    (one, *_), (other, *_) = await server.worker(), await server.worker()
    server.local.unavailable = True
    server.authority.send_state()
    late, *_ = await server.worker()
    for authority in (one, other, late):
        await authority.usage(1)
        assert (authority.database_unavailable, authority.unavailable) == (True, False)
    server.local.unavailable = False
    server.authority.send_state()
    for authority in (one, other, late):
        await authority.usage(1)
        assert not authority.database_unavailable


@pytest.mark.gen_test
async def test_a_worker_hears_of_other_servers_too_and_these_of_all_workers(server):
    server.authority = ServerAuthority(server.local, lambda: [b"elsewhere"])
    (one, *_), (other, *_) = await server.worker(), await server.worker()
    one.report, other.report = lambda: b"one", lambda: b"other"
    assert sorted(await one.reports()) == [b"elsewhere", b"other"]
    assert server.authority.reports() == [b"other"]  # and all are asked for the next time
    for authority in (one, other):
        await authority.usage(1)
        await authority.usage(1)
    assert sorted(server.authority.reports()) == [b"one", b"other"]


@pytest.mark.gen_test
async def test_a_worker_that_has_yet_to_say_something_of_itself_is_not_asked_again(server):
    authority, _, lower, _ = await server.worker()
    lower._transport.pause_reading()
    for _ in range(3):
        assert server.authority.reports() == []
        await asyncio.sleep(0)
    requested = []
    authority.report = lambda: requested.append(1) or b"here"
    lower._transport.resume_reading()
    await authority.usage(1)
    await authority.usage(1)
    assert (server.authority.reports(), len(requested)) == ([b"here"], 1)
