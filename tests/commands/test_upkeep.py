"""What an operator does on the database by hand: recount, demo and break-glass."""

import re
from datetime import timedelta

import pytest

from commands.servers import LocalServer, announced, chosen_database
from settings import load
from storage.demo.store import SUFFIX
from tests.command_line import refused
from tests.derived import derive
from tests.storage.rollup_checks import MIDNIGHT, Call, has_counted_all, write

DAY = timedelta(days=1)


def test_days_are_counted_again(output, database, io_loop):
    async def counted_wrong():
        await write(database, *(Call(number, second=43_200 * number).end() for number in range(4)))
        await derive(database)
        await database.rollups.update_many({"at": {"$gte": MIDNIGHT}}, {"$inc": {"failed": 7}})

    io_loop.run_sync(counted_wrong)
    assert output("recount", "--from", "2099-03-01").splitlines()[-1] == "Counted again."
    io_loop.run_sync(lambda: has_counted_all(database))


def test_days_whose_records_are_gone_keep_their_totals(output, database, io_loop):
    async def some_are_gone():
        await write(database, *(Call(number, second=43_200 * number).end() for number in range(1, 6)))
        await derive(database)
        await database.interceptions.delete_many({"started_at": {"$lt": MIDNIGHT + DAY}})
        return await totals()

    async def totals():
        found = database.rollups.find({"level": "everyone", "bucket": "day"}).sort("at")
        return [(one["at"], one["interceptions"]) async for one in found]

    before = io_loop.run_sync(some_are_gone)
    assert [number for _, number in before] == [1, 2, 2]
    output("recount", "--from", "2099-03-01")
    assert io_loop.run_sync(totals) == before


def test_it_is_filled_in_and_removed(output, run, database, io_loop):
    records = database.beside(SUFFIX)
    said = output("demo", "fill", "--days", "1").splitlines()
    calls = io_loop.run_sync(lambda: records.interceptions.count_documents({}))
    remove = "Remove it with: python server.py demo remove"
    assert said[-1] == f"The demo company is there: {calls:,} calls. {remove}"
    assert output("demo", "fill", "--days", "1")  # in the place of the other one
    assert output("demo", "remove").splitlines() == ["The demo company is removed."]
    assert io_loop.run_sync(lambda: records.users.count_documents({})) == 0
    assert refused(run("demo", "remove")) == (1, "Error: there is no demo company\n")
    assert re.search("0<=x<=61|1<=x<=61", run("demo", "fill", "--days", "0").output)


CODE = "[A-Za-z0-9]{10}-[A-Za-z0-9]{22}"


@pytest.mark.usefixtures("ada")
def test_a_link_signs_a_user_in_whatever_else_there_is(run):
    result = run("--break-glass", "ada")
    assert result.exit_code == 0
    assert re.fullmatch(f"/#/sign-in/{CODE}\n", result.stdout)
    assert result.stderr == "Put the address of the dashboard before it. It signs ada in once, within 10 minutes:\n"


@pytest.mark.usefixtures("ada")
def test_the_link_leads_to_the_server_that_runs_here(run, mongodb_uri, database_name):
    settings = load({"mongodb-uri": mongodb_uri, "mongodb-database": database_name}, {})
    with announced(LocalServer("http://127.0.0.1:4001", chosen_database(settings))):
        result = run("--break-glass", "ada")
    assert re.fullmatch(f"http://127.0.0.1:4001/#/sign-in/{CODE}\n", result.stdout)
    assert result.stderr == "It signs ada in once, within 10 minutes:\n"
