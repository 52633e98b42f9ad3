import asyncio
import json
import random
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from resources.recorded.interceptions import interception_as_json
from runtime.process import now
from storage.accounts.identities import Identities
from storage.live.listeners import End
from storage.live.live import RETRY_SECONDS, STARTS_AND_ENDS, Live
from storage.mongo.change_stream import ChangeStream
from storage.mongo.database import OPTIONS, DatabaseUnavailableError
from tests.bridge import until
from tests.storage.calls import Calls


class Pauses:
    """Waits that a test ends, but for those between tries."""

    def __init__(self):
        self._waiting = {}

    async def __call__(self, seconds):
        if seconds == RETRY_SECONDS:
            await asyncio.sleep(0)
        else:
            await self._waiting.setdefault(seconds, asyncio.Event()).wait()

    async def over(self, seconds):
        """End a wait of that many seconds as soon as somebody waits."""
        await until(lambda: seconds in self._waiting)
        self._waiting.pop(seconds).set()


class Ear:
    """A listener with what it heard, as (position, number of the call, its status)."""

    def __init__(self, live, listener):
        self.live, self.listener = live, listener
        self.position = None

    async def event(self):
        event = await self.live.next(self.listener)
        if event is not None:
            self.position = event.position or self.position
        return event

    async def heard(self, number):
        """The next interceptions, that many."""
        heard = []
        while len(heard) < number:
            event = await self.event()
            assert event is not None, self.listener.ended
            if event.interception is not None:
                resource = json.loads(event.interception)
                heard.append((UUID(resource["id"]).int, resource["end_reason"] or "started"))
        return heard


@pytest.fixture
def pauses():
    return Pauses()


@pytest.fixture
def make_live(io_loop, database, pauses):
    """Makes what is tested; closed with the test, before the databases that a test asked for earlier."""
    made = []

    def make(database):
        identities = Identities(database, now=now, monotonic=asyncio.get_event_loop().time)
        made.append(Live(database, identities, interception_as_json, pause=pauses))
        return made[-1]

    yield make
    for live in made:
        io_loop.run_sync(live.close)


@pytest.fixture
def live(make_live, database):
    return make_live(database)


@pytest.fixture
def calls(database):
    return Calls(database)


@pytest.fixture
def stack(io_loop):
    """What listens until the test ends."""
    stack = AsyncExitStack()
    yield stack
    io_loop.run_sync(stack.aclose)


@pytest.fixture
def listen(stack):
    """Begin to listen."""

    async def listen(live, *conditions, after=None, on_slow=lambda: None):
        listener = await stack.enter_async_context(live.listen(conditions, after=after, on_slow=on_slow))
        return Ear(live, listener)

    return listen


async def test_all_share_one_stream_which_ends_after_the_last_and_begins_again(private_database, make_live, commands):
    live, calls = make_live(private_database), Calls(private_database)
    for round_ in (1, 2):
        async with AsyncExitStack() as listening:
            ears = [
                Ear(live, await listening.enter_async_context(live.listen([], after=None, on_slow=None)))
                for _ in range(5)
            ]
            await calls.start(round_)
            for ear in ears:
                assert await ear.heard(1) == [(round_, "started")]
            assert [name for name, _ in commands.sent].count("aggregate") == round_
            reading = live._reading
        await asyncio.wait({reading})
        assert [name for name, _ in commands.sent].count("killCursors") == round_
        assert live._reading is None


async def test_who_resumes_alone_in_a_quiet_database_hears_the_next_thing_once(live, calls, listen, database):
    stream = await ChangeStream.open(database, STARTS_AND_ENDS)
    await stream.close()
    await calls.start(1)
    ear = await listen(live, after=stream.position)
    assert await ear.heard(1) == [(1, "started")]
    await calls.start(2)
    assert await ear.heard(1) == [(2, "started")]
    await calls.start(3)
    assert await ear.heard(1) == [(3, "started")]
    assert ear.listener.behind is None


@pytest.mark.gen_test(timeout=60)
async def test_whoever_comes_and_goes_under_load_hears_everything_once_and_in_order(
    make_live, calls, listen, database, monkeypatch
):
    monkeypatch.setattr("storage.mongo.change_stream.BATCH", 40)
    total, processes = 30, [make_live(database) for _ in range(2)]
    chance = random.Random(7)
    whole = await listen(processes[0])
    begun = (await whole.event()).position

    async def write():
        for number in range(total):
            await calls.start(number)

    async def wander():
        heard, after = [], begun
        while len(heard) < total:
            live = chance.choice(processes)
            async with live.listen([], after=after, on_slow=None) as listener:
                ear = Ear(live, listener)
                heard += await ear.heard(min(chance.randint(1, 15), total - len(heard)))
                after = ear.position
        return heard

    expected, _, *wandered = await asyncio.gather(whole.heard(total), write(), *(wander() for _ in range(4)))
    assert sorted(expected) == [(number, "started") for number in range(total)]
    assert wandered == [expected] * 4


@pytest.fixture
def brief_reads(monkeypatch):
    """A stream that hears nothing is given up soon."""
    monkeypatch.setattr("tests.storage.outages.OPTIONS", {**OPTIONS, "socketTimeoutMS": 700, "connectTimeoutMS": 700})


@pytest.mark.usefixtures("brief_reads")
@pytest.mark.gen_test(timeout=60)
async def test_while_the_database_is_unavailable_listeners_wait_and_then_miss_nothing(
    private_database, private_mongodb, make_live, listen, pauses
):
    live, calls = make_live(private_database), Calls(private_database)
    ear = await listen(live)
    await calls.start(1)
    assert await ear.heard(1) == [(1, "started")]
    hearing = asyncio.create_task(ear.heard(2))
    private_mongodb.freeze()
    await until(lambda: not private_database.health.available)
    with pytest.raises(DatabaseUnavailableError):
        await listen(live, after=ear.position)
    private_mongodb.thaw()
    await calls.start(2)
    await calls.end(2)
    assert await hearing == [(2, "started"), (2, "completed")]


@pytest.mark.expects_log(r"ERROR storage\.live\.live: live interceptions stopped")
async def test_what_nobody_foresaw_ends_everyone_rather_than_leave_them_waiting(live, listen, database):
    ear = await listen(live)
    await ear.event()
    await database.interceptions.insert_one({"_id": "not an interception"})
    assert (await ear.event(), ear.listener.ended) == (None, End.FAILED)
