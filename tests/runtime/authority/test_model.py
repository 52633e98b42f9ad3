"""Workers and their supervisor as a model: messages late, workers that die, a supervisor that does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.authority import LocalAuthority
from limits.limit import Amounts, Kind, Limit, Of
from limits.limiter import Limiter
from runtime.authority import ServerAuthority, WorkerAuthority
from runtime.authority.frames import FrameReader
from runtime.authority.messages import decode_from_worker, decode_to_worker, encode
from runtime.authority.worker import ANSWER_TICKS, DECISION_TICKS
from tests.limits.clock import SECOND, Clock

SLOTS = 3
RATE = 5
LIMITS = (
    Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", SLOTS),
    Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:a", RATE, window_ns=10 * SECOND),
    Limit(Kind.TOKENS, Rule.USER_RATE, Of.USER, "user:a", 10**9, window_ns=10**9 * SECOND),
)


class Request:
    """One request of a worker."""

    def __init__(self, authority):
        self.ticket = None
        self.charged = 0
        self.task = asyncio.create_task(self._start(authority))

    async def _start(self, authority):
        decision = await authority.start(LIMITS)
        self.ticket = decision.ticket


class Worker:
    """A worker, and what is on its way from it and to it."""

    def __init__(self, server, clock):
        self.woken = []
        self.authority = WorkerAuthority(
            Limiter(clock, clock),
            wake=lambda: self.woken.append("now"),
            wake_later=lambda: self.woken.append("later"),
            now_ns=clock,
        )
        self.desk = server.open_desk(lambda: None)
        self.up = deque()
        self.down = deque()
        self.requests = []

    def send(self):
        while (message := self.authority.take_outgoing()) is not None:
            self.up.append(encode(message))

    def deliver_up(self):
        if self.up:
            (payload,) = FrameReader().feed(self.up.popleft())
            self.desk.received(decode_from_worker(payload))
        self.respond()

    def respond(self):
        while (message := self.desk.take_outgoing()) is not None:
            self.down.append(encode(message))

    def deliver_down(self):
        if self.down:
            (payload,) = FrameReader().feed(self.down.popleft())
            self.authority.received(decode_to_worker(payload))

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
    """Two workers and what decides for them."""

    def __init__(self):
        self.clock = Clock()
        self.limiter = Limiter(self.clock, self.clock)
        self.server = ServerAuthority(LocalAuthority(self.limiter))
        self.workers = [Worker(self.server, self.clock) for _ in range(2)]
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
        worker.desk.close()
        for request in worker.requests:
            request.task.cancel()
        self.workers[which] = Worker(self.server, self.clock)
        self.killed = True

    async def settle(self):
        for _ in range(6):
            for worker in self.workers:
                await asyncio.sleep(0)
                worker.send()
                while worker.up:
                    worker.deliver_up()
                worker.respond()
                while worker.down:
                    worker.deliver_down()

    def used(self, rule):
        return sum(state.used for state in self.limiter.usage(100) if state.limit.rule == rule)

    @property
    def running(self):
        return [request for worker in self.workers for request in worker.running]


def operations(*names):
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 1), st.integers(0, 9)), max_size=60)


async def play(world, steps, check=lambda: None):
    for step in steps:
        world.do(*step)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        check()
    await world.settle()


MESSAGES = ("start", "start", "end", "charge", "send", "send", "deliver_up", "deliver_up", "deliver_down")


@given(operations(*MESSAGES, "advance", "kill"))
def test_two_workers_never_exceed_a_limit_and_nothing_leaks(steps):
    world = World()

    def check():
        assert len(world.running) <= SLOTS
        assert world.used(Rule.RATE) <= RATE

    async def run():
        await play(world, steps, check)
        assert len(world.limiter) == len(world.running) == world.used(Rule.CONCURRENCY)
        assert world.killed or world.used(Rule.USER_RATE) == world.charged
        for which in (0, 1):
            world.kill(which)
        assert len(world.limiter) == 0
        await asyncio.sleep(0)

    asyncio.run(run())


@given(operations(*MESSAGES, "tick", "tick"))
def test_what_was_admitted_alone_is_counted_once_the_supervisor_answers(steps):
    logging.disable(logging.WARNING)
    world = World()

    async def run():
        await play(world, steps)
        assert not any(worker.authority.unavailable for worker in world.workers)
        assert len(world.limiter) == len(world.running) == world.used(Rule.CONCURRENCY)
        assert world.used(Rule.USER_RATE) == world.charged
        for worker in world.workers:
            while worker.requests:
                worker.end(0)
        await world.settle()
        assert len(world.limiter) == 0
        for worker in world.workers:
            kept = (
                worker.authority._undecided,
                worker.authority._running,
                worker.authority._alone,
                worker.authority._late,
            )
            assert kept == ({}, {}, {}, {})

    try:
        asyncio.run(run())
    finally:
        logging.disable(logging.NOTSET)


UNAVAILABLE = "^WARNING runtime.authority.worker: limits are process-local: the supervisor does not answer$"


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.gen_test
async def test_a_worker_without_an_answer_decides_alone_from_what_it_has_admitted():
    world = World()
    worker, other = world.workers
    other.start()
    worker.start()
    worker.start()
    await world.settle()
    worker.start()
    await asyncio.sleep(0)
    worker.send()  # and nobody reads it
    for _ in range(ANSWER_TICKS - 1):
        worker.authority.tick()
    assert (worker.authority.unavailable, worker.authority.waiting) == (False, True)
    worker.authority.tick()
    assert (worker.authority.unavailable, worker.authority.waiting) == (True, False)
    await worker.requests[-1].task
    assert len(worker.running) == 2  # more than half of three
    assert [state.used for state in await worker.authority.usage(1)] == [2, 2]
    assert await worker.authority.reports() == []
    await world.settle()
    assert not worker.authority.unavailable
    assert (len(world.limiter), world.used(Rule.CONCURRENCY), world.used(Rule.RATE)) == (3, 3, 3)


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.parametrize(("servers", "expected"), [(1, 10), (2, 4), (100, 2)])
@pytest.mark.gen_test
async def test_workers_that_all_decide_alone_admit_no_more_than_the_share_of_their_server(servers, expected):
    world = World()
    world.server._authority.servers = servers
    slots = Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", 10)
    rate = Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:t", 10, 60 * SECOND)
    for worker in world.workers:
        worker.start()
        await world.settle()
        worker.end(0)
    await world.settle()
    starts = [asyncio.create_task(one.authority.start((slots, rate))) for one in world.workers for _ in range(20)]
    await asyncio.sleep(0)
    for worker in world.workers:
        for _ in range(ANSWER_TICKS):
            worker.authority.tick()
    decisions = await asyncio.gather(*starts)
    assert sum(decision.ticket is not None for decision in decisions) == expected
    await world.settle()
    assert world.used(Rule.CONCURRENCY) == expected


@pytest.mark.gen_test
async def test_a_supervisor_that_is_there_may_take_longer_to_decide():
    world = World()
    worker, _ = world.workers
    worker.desk._start = lambda _start: None  # it waits for a database
    worker.start()
    for _ in range(DECISION_TICKS - 1):
        await world.settle()
        worker.authority.tick()
    assert (worker.authority.unavailable, worker.running) == (False, [])


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.gen_test
async def test_a_supervisor_that_is_there_and_never_decides_is_not_waited_for_for_ever():
    world = World()
    worker, _ = world.workers
    worker.desk._start = lambda _start: None
    worker.start()
    for _ in range(DECISION_TICKS):
        await world.settle()
        worker.authority.tick()
    await asyncio.sleep(0)
    assert (worker.authority.unavailable, len(worker.running)) == (True, 1)
    await world.settle()
    assert not worker.authority.unavailable


@pytest.mark.gen_test
async def test_a_long_pause_of_a_worker_is_one_look_and_opens_no_limit():
    world = World()
    worker, _ = world.workers
    worker.start()
    await asyncio.sleep(0)
    worker.authority.tick()
    await world.settle()
    assert (len(worker.running), worker.authority.unavailable) == (1, False)


@pytest.mark.gen_test
async def test_a_request_that_left_before_its_answer_gives_back_at_once():
    world = World()
    worker, _ = world.workers
    worker.start()
    await asyncio.sleep(0)
    worker.send()
    worker.deliver_up()
    assert len(world.limiter) == 1
    worker.end(0)
    await asyncio.sleep(0)
    worker.send()
    worker.deliver_up()
    assert len(world.limiter) == 0
    worker.deliver_down()
    assert worker.authority.take_outgoing() is None


@pytest.mark.gen_test
async def test_a_request_that_left_before_it_was_sent_is_never_asked_for():
    world = World()
    worker, _ = world.workers
    worker.start()
    await asyncio.sleep(0)
    worker.end(0)
    await asyncio.sleep(0)
    assert worker.authority.take_outgoing() is None


@pytest.mark.parametrize(
    ("slots", "under_way", "seconds", "woken"),
    [(10, 1, 0, "later"), (10, 9, 0, "now"), (1, 1, 0, "now"), (5, 4, 1, "later"), (5, 1, 2, "now")],
    ids=["far from the limit", "near it", "at it", "at a fifth", "long ago"],
)
@pytest.mark.gen_test
async def test_what_is_given_back_near_a_limit_is_told_at_once(slots, under_way, seconds, woken):
    world = World()
    other, worker = world.workers  # decided in this order
    limits = (Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", slots),)
    starts = [asyncio.create_task(one.authority.start(limits)) for one in [other] * (under_way - 1) + [worker]]
    await world.settle()
    decision = await starts[-1]
    world.clock.advance(seconds * SECOND)
    worker.woken.clear()
    worker.authority.end(decision.ticket)
    assert worker.woken == [woken]
