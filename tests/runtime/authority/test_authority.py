"""Limits that the workers of a server have together: both ends of their sockets, and a model of late messages and deaths."""

import asyncio
import logging
import socket
import time
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.authority import AuthorityUnavailableError, LocalAuthority
from limits.calendar import bounds_of
from limits.limit import NOTHING, Amounts, BudgetPeriod, Limit, LimitKind, Of
from limits.limiter import Limiter
from runtime.authority import ServerAuthority, WorkerAuthority, WorkerLink
from runtime.authority.messages import FROM_WORKER, HEADER_BYTES, TO_WORKER, End, Pong, Start, encode, read_frames
from runtime.authority.worker import ANSWER_TICKS
from tests.limits.clock import SECOND, Clock

SLOTS = Limit(LimitKind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", 10)
RATE = Limit(LimitKind.RATE, Rule.RATE, Of.TOKEN, "token:a", 100, window_ns=1000 * SECOND)
TOKENS = Limit(LimitKind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:a", 1000, window_ns=1000 * SECOND)
NONSENSE = b"\0\0\0\1\xc1"


class Waiting(LocalAuthority):
    """Decides when its gate is open, as one does that has to ask somebody."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()
        self.requested = asyncio.Semaphore(0)

    async def start(self, limits, reserve=NOTHING):
        self.requested.release()
        await self.gate.wait()
        return await super().start(limits, reserve)


class Server:
    """What decides in the supervisor, with as many workers as a test asks for."""

    def __init__(self, local):
        self.local = local
        self.authority = ServerAuthority(local)
        self.serving = set()
        self.ends = []

    async def worker(self):
        """The authority of a worker that serves."""
        lower, theirs, _ = await self.lone_worker()
        assert await self.serve(theirs)
        return lower

    async def lone_worker(self):
        """The authority of a worker that serves, a socket on which a test is its supervisor, and what says that it is lost."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        lost = asyncio.Event()
        lower = WorkerLink(*await asyncio.open_unix_connection(sock=ours), on_lost=lost.set)
        lower.serve()
        self.ends.append(lower)
        assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b"\n"
        return lower.authority, theirs, lost

    async def raw(self):
        """A socket on which a test says what it likes as a worker."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        await self.serve(ours)
        return theirs

    async def serve(self, ours):
        task = asyncio.create_task(self.authority.serve(*await asyncio.open_unix_connection(sock=ours)))
        self.serving.add(task)
        return task

    def used(self):
        return {state.limit.rule: state.used for state in self.local.limiter.usage(10)}

    async def leave(self):
        for one in self.ends:
            one.close()
        for one in self.serving:
            one.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)


@pytest.fixture
def server(io_loop):
    server = io_loop.run_sync(make)
    yield server
    io_loop.run_sync(server.leave)


async def make():
    return Server(LocalAuthority())


async def read(data, decoder):
    """The lists of messages of all frames that are whole."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return [messages async for messages in read_frames(reader, decoder)]


async def test_what_one_loop_iteration_brings_goes_in_one_message(server):
    authority, upper, _ = await server.lone_worker()
    starts = [asyncio.create_task(authority.start((SLOTS,))) for _ in range(50)]
    frames = await read(await asyncio.get_running_loop().sock_recv(upper, 1 << 20), FROM_WORKER)
    asked = [message for messages in frames for message in messages if isinstance(message, Start)]
    assert (len(frames), len(asked)) == (2, 50)  # the first ping is one, too
    lower = await server.raw()
    lower.send(encode(asked))
    (answered,) = await read(await asyncio.get_running_loop().sock_recv(lower, 1 << 20), TO_WORKER)
    assert len(answered) == 50
    upper.send(encode(answered))
    assert sum([(await one).ticket is not None for one in starts]) == 10
    upper.close()
    lower.close()


async def test_tokens_that_a_worker_charged_bind_another_one(server):
    one, other = await server.worker(), await server.worker()
    decision = await one.start((TOKENS,))
    one.charge(decision.ticket, Amounts(600))
    one.charge(decision.ticket, Amounts(1000))
    one.end(decision.ticket)
    await one.usage(1)  # answered after what was said before
    refused = await other.start((TOKENS,))
    assert (refused.ticket, refused.refused_by.used, refused.refused_by.remaining) == (None, 1000, 0)
    assert 0 < refused.retry_after_ns <= 1000 * SECOND


async def test_a_decision_that_takes_a_while_holds_no_other_up_and_may_be_given_up(io_loop):
    waiting = Waiting()
    server = Server(waiting)
    authority = await server.worker()
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


async def test_a_worker_keeps_to_itself_what_a_supervisor_does_not_read(server):
    authority, upper, _ = await server.lone_worker()
    starts = []
    for _ in range(90):
        starts += [asyncio.create_task(authority.start((RATE,) * 100)) for _ in range(100)]
        upper.send(encode([Pong()]))  # or it would count as hanging
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for one in starts:
        one.cancel()
    await asyncio.wait(starts)
    received, asked, ended = b"", set(), set()
    while not asked or asked - ended:  # what was never sent needs no end
        received += await asyncio.get_running_loop().sock_recv(upper, 1 << 20)
        for message in [one for messages in await read(received, FROM_WORKER) for one in messages]:
            if isinstance(message, Start):
                asked.add(message.number)
            elif isinstance(message, End):
                ended.add(message.number)
    assert 0 < len(asked) < 2_000
    assert ended == asked
    upper.close()


async def test_the_supervisor_reads_nothing_more_from_a_worker_that_does_not_read(server):
    theirs = await server.raw()
    number, sent, full = 0, 0, False
    while not full:
        number += 1
        message = encode([Start(number, (RATE,) * 100, NOTHING)])
        try:
            sent += (said := theirs.send(message))
            full = said < len(message)
        except BlockingIOError:
            full = True
        for _ in range(5):
            await asyncio.sleep(0)
    assert sent < 8 * 1024 * 1024
    theirs.close()


@pytest.mark.parametrize("said", [NONSENSE, b"\xff\xff\xff\xff"])
@pytest.mark.expects_log("^ERROR runtime.authority.server: closing the link to a worker: ")
async def test_a_worker_that_says_nonsense_is_given_up_with_what_it_held(server, said):
    theirs = await server.raw()
    theirs.send(encode([Start(1, (SLOTS,), NOTHING)]) + said)
    while await asyncio.get_running_loop().sock_recv(theirs, 1000):
        pass
    assert len(server.local.limiter) == 0
    theirs.close()


@pytest.mark.expects_log("^ERROR runtime.authority.server: closing the link to a worker: ")
async def test_two_requests_with_one_number_are_nonsense(server):
    theirs = await server.raw()
    theirs.send(encode([Start(1, (SLOTS,), NOTHING)] * 2))
    while await asyncio.get_running_loop().sock_recv(theirs, 1000):
        pass
    assert len(server.local.limiter) == 0
    theirs.close()


@pytest.mark.expects_log("^ERROR runtime.authority.worker: closing the link to the supervisor: ")
async def test_a_supervisor_that_says_nonsense_is_given_up(server):
    _, upper, lost = await server.lone_worker()
    upper.send(NONSENSE)
    await lost.wait()
    upper.close()


async def test_what_a_worker_restores_of_a_budget_counts_for_all(server):
    budget = Limit(LimitKind.BUDGET, Rule.USER_BUDGET, Of.USER, "user:a", 1000, period=BudgetPeriod.MONTH)
    first, second = await server.worker(), await server.worker()
    begin = bounds_of(BudgetPeriod.MONTH, "UTC", time.time_ns()).begin_ns
    first.restore(budget, 400, begin)
    second.restore(budget, 300, begin)
    await second.start((SLOTS,))
    await first.start((SLOTS,))
    (state,) = [state for state in await second.usage(9) if state.limit.kind is LimitKind.BUDGET]
    assert (state.limit, state.used) == (budget, 400)


SLOT_COUNT, RATE_COUNT = 3, 5
LIMITS = (
    Limit(LimitKind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", SLOT_COUNT),
    Limit(LimitKind.RATE, Rule.RATE, Of.TOKEN, "token:a", RATE_COUNT, window_ns=10 * SECOND),
    Limit(LimitKind.TOKENS, Rule.USER_RATE, Of.USER, "user:a", 10**9, window_ns=10**9 * SECOND),
)


class Request:
    """One request of a worker: `outcome` is its ticket, None while nothing is decided or if it is refused."""

    def __init__(self, authority):
        self.ticket = None
        self.charged = 0
        self.gave_up = False
        self.task = asyncio.create_task(self._start(authority))

    async def _start(self, authority):
        try:
            self.ticket = (await authority.start(LIMITS)).ticket
        except AuthorityUnavailableError:
            self.gave_up = True


class Worker:
    """A worker, and what is on its way from it and to it."""

    def __init__(self, server):
        self.authority = WorkerAuthority()
        self.server = server
        self.desk = server.open_desk()
        self.up, self.down = deque(), deque()
        self.requests = []

    def send(self):
        while messages := self.authority.outbox.take():
            self.up.append(encode(messages))

    def deliver_up(self):
        if self.up:
            for message in FROM_WORKER.decode(self.up.popleft()[HEADER_BYTES:]):
                self.desk.received(message)

    def reply(self):
        while messages := self.desk.outbox.take():
            self.down.append(encode(messages))

    def deliver_down(self):
        self.reply()
        if self.down:
            for message in TO_WORKER.decode(self.down.popleft()[HEADER_BYTES:]):
                self.authority.received(message)

    @property
    def running(self):
        return [request for request in self.requests if request.ticket is not None]

    def start(self):
        self.requests.append(Request(self.authority))

    def end(self, which):
        if self.requests:
            request = self.requests.pop(which % len(self.requests))
            request.task.cancel()
            if request.ticket is not None:
                self.authority.end(request.ticket)

    def charge(self, which):
        if self.running:
            request = self.running[which % len(self.running)]
            request.charged += 10
            self.authority.charge(request.ticket, Amounts(request.charged))
            return 10
        return 0


class World:
    def __init__(self):
        self.clock = Clock()
        self.limiter = Limiter(self.clock, self.clock)
        self.server = ServerAuthority(LocalAuthority(self.limiter))
        self.workers = [Worker(self.server) for _ in range(2)]
        self.charged = 0
        self.killed = False

    def do(self, what, which, number):
        worker = self.workers[which]
        if what == "charge":
            self.charged += worker.charge(number)
        elif what == "end":
            worker.end(number)
        elif what == "tick":
            worker.authority.tick()
        elif what == "advance":
            self.clock.advance(number * SECOND)
        elif what == "kill":
            self.kill(which)
        else:
            getattr(worker, what)()

    def kill(self, which):
        worker = self.workers[which]
        self.server.close_desk(worker.desk)
        for request in worker.requests:
            request.task.cancel()
        self.workers[which] = Worker(self.server)
        self.killed = True

    async def settle(self):
        for _ in range(6):
            for worker in self.workers:
                await asyncio.sleep(0)
                worker.send()
                while worker.up:
                    worker.deliver_up()
                await asyncio.sleep(0)
                worker.reply()
                while worker.down:
                    worker.deliver_down()

    def used(self, rule):
        return sum(state.used for state in self.limiter.usage(100) if state.limit.rule == rule)

    @property
    def running(self):
        return [request for worker in self.workers for request in worker.running]


MESSAGES = ("start", "start", "end", "charge", "send", "send", "deliver_up", "deliver_up", "deliver_down", "tick")
STEPS = st.lists(
    st.tuples(st.sampled_from((*MESSAGES, "advance", "kill")), st.integers(0, 1), st.integers(0, 9)), max_size=60
)


@given(STEPS)
def test_two_workers_never_exceed_a_limit_and_nothing_leaks(steps):
    async def run():
        world = World()
        for step in steps:
            world.do(*step)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(world.running) <= SLOT_COUNT
            assert world.used(Rule.RATE) <= RATE_COUNT
        await world.settle()
        assert not any(worker.authority.unavailable for worker in world.workers)
        assert len(world.limiter) == len(world.running) == world.used(Rule.CONCURRENCY)
        assert world.killed or world.used(Rule.USER_RATE) == world.charged
        for which in (0, 1):
            world.kill(which)
        assert len(world.limiter) == 0
        await asyncio.sleep(0)

    logging.disable(logging.WARNING)
    try:
        asyncio.run(run())
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.expects_log("^WARNING runtime.authority.worker: the supervisor does not answer: requests are refused$")
async def test_a_worker_without_an_answer_refuses_and_gives_back_what_is_admitted_late():
    world = World()
    worker, _ = world.workers
    worker.start()
    await world.settle()
    worker.start()
    await asyncio.sleep(0)
    worker.authority.tick(ping=True)
    worker.send()  # and nobody reads it
    for _ in range(ANSWER_TICKS - 1):
        worker.authority.tick(ping=True)
    assert not worker.authority.unavailable
    worker.authority.tick()
    worker.start()  # refused at once
    await asyncio.gather(*(request.task for request in worker.requests))
    assert [request.gave_up for request in worker.requests] == [False, True, True]
    assert (worker.authority.unavailable, await worker.authority.usage(1)) == (True, ())
    worker.deliver_up()  # it is admitted late
    await asyncio.sleep(0)
    await world.settle()
    assert not worker.authority.unavailable
    assert (world.used(Rule.CONCURRENCY), world.used(Rule.RATE)) == (1, 2)


async def test_a_request_that_left_before_its_answer_gives_back_at_once_and_one_unsent_is_never_asked_for():
    world = World()
    worker, _ = world.workers
    worker.start()
    await asyncio.sleep(0)
    worker.send()
    worker.deliver_up()
    await asyncio.sleep(0)
    assert len(world.limiter) == 1
    worker.end(0)
    await asyncio.sleep(0)
    worker.send()
    worker.deliver_up()
    assert len(world.limiter) == 0
    worker.deliver_down()
    worker.start()
    await asyncio.sleep(0)
    worker.end(0)
    await asyncio.sleep(0)
    assert worker.authority.outbox.take() == []


async def test_however_many_wait_every_message_fits_into_a_frame():
    keys = [f"group:{number:036}" for number in range(100)]  # as many groups as a user may be in
    limits = tuple(
        Limit(kind, Rule.POLICY_RATE, of, key, 10**12, 31 * 86_400 * SECOND, zone="America/Argentina/Buenos_Aires")
        for key in keys
        for of in (Of.GROUP, Of.USER)
        for kind in LimitKind
    )
    desk = ServerAuthority(LocalAuthority()).open_desk()
    for number in range(1, 121):
        desk.received(Start(number, limits, NOTHING))
    await asyncio.sleep(0)
    frames = b""
    while messages := desk.outbox.take():
        frames += encode(messages)
    replies = [message for messages in await read(frames, TO_WORKER) for message in messages]
    assert [one.number for one in replies] == [*range(1, 121)]
    desk.close()
