"""Totals made again from the records, by the command line."""

from __future__ import annotations

from datetime import timedelta

from tests.derived import derive
from tests.storage.rollup_checks import MIDNIGHT, Call, has_counted_all, write

DAY = timedelta(days=1)


def test_days_are_counted_again(output, database, io_loop):
    async def wrong(days):
        await database.rollups.update_many({"at": {"$gte": MIDNIGHT, "$lt": MIDNIGHT + days}}, {"$inc": {"failed": 7}})

    async def counted():
        await write(database, *(Call(number, second=43_200 * number).end() for number in range(4)))
        await derive(database)

    io_loop.run_sync(counted)
    for flags, days in ((("--from", "2099-03-01", "--to", "2099-03-02"), DAY), (("--from", "2099-03-01"), 9 * DAY)):
        io_loop.run_sync(lambda days=days: wrong(days))
        assert output("recount", *flags).splitlines()[-1] == "Counted again."
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
