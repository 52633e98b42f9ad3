"""Exports over real connections: whole, resumed, refused, slow, and broken off."""

import asyncio
import json
from contextlib import aclosing
from itertools import count
from urllib.parse import quote
from uuid import UUID

import pytest
from tornado.iostream import StreamClosedError

from handlers.api.recorded import interceptions
from handlers.lifecycle import SHUTTING_DOWN
from handlers.operations import handler
from handlers.operations.problems import too_much
from handlers.operations.query import INVALID
from handlers.problems import DATABASE_UNAVAILABLE
from resources.recorded.export_formats import COLUMNS
from storage.accounts.users import Role
from storage.mongo.database import DatabaseUnavailableError
from storage.queries import interceptions as reader_module
from storage.queries.questions.groups import TooMuchError, UnsupportedOrderError
from storage.queries.questions.questions import STREAM_SECONDS
from storage.queries.questions.reading import CallsRead
from tests.bridge import until
from tests.handlers.api.calls import record
from tests.handlers.api.recorded.test_statistics import STATS, counted, stats
from tests.handlers.conversations import CHAT, MESSAGES

PATH = "/api/v2/aibridge/interceptions/export"
LIST = "/api/v2/aibridge/interceptions"


@pytest.fixture
def small_pages(monkeypatch):
    """Pages of three, written two at a time."""
    monkeypatch.setattr(reader_module, "PAGE", 3)
    monkeypatch.setattr(interceptions, "CHUNK", 2)


@pytest.fixture
def download(running):
    """Ask for an export and read it to its end."""

    async def download(query="", headers=None, method="GET"):
        return await running.request(method, PATH + query, headers or running.headers)

    return download


@pytest.fixture
def paged(running, monkeypatch):
    """Have something happen whenever an export is about to read a page."""

    def paged(before):
        pages = running.bridge.interceptions.pages

        async def after_that(*asked, **more):
            async with aclosing(pages(*asked, **more)) as found:
                await before()
                async for page in found:
                    yield page
                    await before()

        monkeypatch.setattr(running.bridge.interceptions, "pages", after_that)

    return paged


async def recorded_large(calls):
    """Three calls, six mebibytes together: a client that does not read takes four at most, in the buffers of its connection."""
    await recorded(calls, 3, user_agent="a" * (2 << 20))


async def recorded(calls, number, **changes):
    for one in range(1, number + 1):
        await calls.start(one, **changes)
        await calls.end(one)


def numbers(response):
    """The numbers of the calls in an export of lines of JSON that is whole."""
    assert (response.status, response.whole or not response.body) == (200, True)
    return [UUID(json.loads(line)["id"]).int for line in response.body.splitlines()]


async def test_an_export_is_what_the_list_shows_as_lines_or_csv_and_may_be_empty(running, download, call):
    # an export of nothing is whole and empty
    response = await download()
    assert (response.status, response.header("Content-Length"), response.body) == (200, "0", b"")
    response = await download("?format=csv")
    assert (response.status, response.body.decode()) == (200, ",".join(f'"{name}"' for name in COLUMNS) + "\r\n")
    await running.afresh()
    # an export is what the list shows
    await call(CHAT)
    await call(MESSAGES)
    response = await download()
    headers = ("Content-Type", "Content-Disposition", "Cache-Control")
    assert [response.header(name) for name in headers] == [
        "application/x-ndjson",
        'attachment; filename="interceptions.ndjson"',
        "no-store",
    ]
    assert [json.loads(line) for line in response.body.splitlines()] == (await running.get(LIST))[1]["results"]


async def test_it_may_be_narrowed_limited_and_resumed(calls, download, small_pages):
    await recorded(calls, 7)
    await calls.start(8, model="m")
    assert numbers(await download()) == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(await download("?limit=4")) == [7, 6, 5, 4]
    assert numbers(await download(f"?after_id={UUID(int=4)}")) == [3, 2, 1]
    assert numbers(await download(f"?after_id={UUID(int=4)}&limit=2&format=&q=")) == [3, 2]
    assert numbers(await download("?q=status:in_flight")) == [8]
    assert numbers(await download("?q=" + quote("initiator:me model:m"))) == []


async def test_an_export_has_what_its_user_may_see_and_its_head_reads_nothing(running, calls, download, monkeypatch):
    # a member exports their own and others everything
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    grace = await running.bridge.identities.find_user("grace")
    await recorded(calls, 2, initiator_id=grace.id)
    await calls.start(3)
    await calls.end(3)
    assert numbers(await download(headers=auditor)) == numbers(await download()) == [3, 2, 1]
    assert numbers(await download(headers=member)) == [2, 1]
    assert numbers(await download(f"?q=request_id:{UUID(int=3)}", member)) == []
    unknown = await download(f"?after_id={UUID(int=9)}", member)
    invisible = await download(f"?after_id={UUID(int=3)}", member)
    assert (unknown.status, unknown.body) == (invisible.status, invisible.body)
    assert (await download("?q=initiator:ada", member)).status == 400
    await running.afresh()
    # a client of http 1 0 finds its end in that of the connection
    await recorded(calls, 2)
    client = await running.client()
    await client.send("GET", PATH, running.headers | {"Connection": "keep-alive"}, version="1.0")
    response = await client.head()
    assert (response.header("Transfer-Encoding"), response.header("Connection")) == (None, "close")
    assert len((await client.at_end()).splitlines()) == 2
    await running.afresh()
    # the head alone is answered without reading anything
    await recorded(calls, 1)
    monkeypatch.setattr(reader_module, "MAX_EXPORTS_AT_A_TIME", 0)
    response = await download("?format=csv", method="HEAD")
    assert (response.status, response.header("Content-Length")) == (200, None)
    assert response.header("Content-Type") == "text/csv; charset=utf-8; header=present"
    assert (await download("?format=xml", method="HEAD")).status == 400


async def test_only_so_many_exports_are_under_way_and_who_takes_nothing_makes_room(
    running, calls, download, paged, monkeypatch
):
    # only so many exports are under way and a client that leaves makes room
    await recorded_large(calls)
    clients = [await running.client(receive_buffer=4096) for _ in range(reader_module.MAX_EXPORTS_AT_A_TIME)]
    for number, client in enumerate(clients):
        await client.send("GET", PATH, await running.user(f"auditor-{number}", Role.AUDITOR))
        assert (await client.head()).status == 200
    response = await download()
    message = "The maximum number of exports is reached. Please try again later."
    assert (response.status, response.header("Retry-After"), json.loads(response.body)) == (
        503,
        "5",
        {"message": message},
    )
    clients[0].close()
    clients[1].reset()
    await until(lambda: len(running.bridge.shares.exports) == reader_module.MAX_EXPORTS_AT_A_TIME - 2)
    assert numbers(await download("?limit=1")) == [3]
    for client in clients[2:]:
        client.reset()
    await running.afresh()
    # a client that takes nothing is cut and makes room
    monkeypatch.setattr(handler, "STALL_SECONDS", 0.2)
    await recorded_large(calls)
    client = await running.client(receive_buffer=4096)
    await client.send("GET", PATH, running.headers)
    response = await client.head()
    await until(lambda: len(running.bridge.shares.exports) == 0)
    assert not (await client.rest(response)).whole


async def test_a_client_that_does_not_read_holds_one_page(running, calls, paged):
    await recorded(calls, 8, user_agent="a" * (2 << 20))
    readings = count()

    async def read():
        next(readings)

    paged(read)
    client = await running.client(receive_buffer=4096)
    await client.send("GET", PATH, running.headers)
    response = await client.head()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert next(readings) == 1
    await client.rest(response)
    assert numbers(response) == list(range(8, 0, -1))
    assert next(readings) > 3


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_when_the_database_goes_away_half_way_it_never_looks_complete(
    running, calls, small_pages, paged, version
):
    await recorded(calls, 9)
    readings = count(1)

    async def goes_away():
        if next(readings) == 3:
            raise DatabaseUnavailableError("MongoDB is unavailable")

    paged(goes_away)
    client = await running.client()
    await client.send("GET", PATH, running.headers, version=version)
    response = await client.head()
    if version == "1.1":
        await client.rest(response)
        assert not response.whole
        assert len(response.body.splitlines()) <= 6
    else:
        assert response.header("Connection") == "close"
        with pytest.raises(ConnectionResetError):
            await client.at_end()
    await until(lambda: len(running.bridge.shares.exports) == 0)


async def test_progress_is_told_in_lines_while_records_are_read(running):
    await record(running, model="a")
    await counted(running)
    lines = {"Accept": "application/x-ndjson", **running.headers}
    response = await running.request("GET", f"{STATS}?group_by=agent&q=model:a", lines)
    assert (response.status, response.header("Content-Type")) == (200, "application/x-ndjson")
    *progress, last = map(json.loads, response.body.splitlines())
    assert [one["progress"] for one in progress] == [0, 0.3333, 0.6667, 1]
    assert last["result"] == await stats(running, group_by="agent", q="model:a")
    (only,) = (await running.request("GET", f"{STATS}?group_by=model&bucket=all", lines)).body.splitlines()
    assert json.loads(only)["result"]["count"] == 1


async def test_what_goes_wrong_late_is_the_last_line(running, questions):
    lines = {"Accept": "application/x-ndjson", **running.headers}
    too_long = {"field": "from", "detail": too_much(TooMuchError(3, STREAM_SECONDS))}
    for raised, expected in (
        (TooMuchError(3, STREAM_SECONDS), {"message": INVALID, "validations": [too_long]}),
        (DatabaseUnavailableError("gone"), {"message": DATABASE_UNAVAILABLE}),
    ):

        async def fails(_question, on_progress, raised=raised):
            await on_progress(CallsRead(0, 40_000))
            raise raised

        questions.instead = fails
        response = await running.request("GET", f"{STATS}?group_by=agent", lines)
        assert response.status == 200
        assert list(map(json.loads, response.body.splitlines())) == [{"progress": 0}, {"error": expected}]

    async def refuses(*_):
        raise UnsupportedOrderError("sessions cannot be sorted by p95")

    questions.instead = refuses
    assert (await running.request("GET", f"{STATS}?group_by=agent", lines)).status == 400
    running.bridge.lifecycle.draining = True
    response = await running.request("GET", f"{STATS}?group_by=agent", lines)
    assert (response.status, json.loads(response.body)) == (503, {"message": SHUTTING_DOWN})


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_a_client_that_leaves_ends_the_reading(running, questions, accept):
    began, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def reads(_question, on_progress):
        began.set()
        for read in range(100_000):
            try:
                await on_progress(CallsRead(read, 100_000))
            except StreamClosedError:
                ended.set_result(read)
                raise
            await asyncio.sleep(0)

    questions.instead = reads
    client = await running.client()
    requested = asyncio.ensure_future(
        client.request("GET", f"{STATS}?group_by=agent", {"Accept": accept, **running.headers})
    )
    await began.wait()
    requested.cancel()
    client.close()
    assert await asyncio.wait_for(ended, 20) < 100_000
