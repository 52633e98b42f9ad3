from datetime import timedelta
from uuid import UUID

from storage.members.membership import has_lease

ONE, OTHER = UUID(int=1), UUID(int=2)


async def test_one_process_has_a_lease_until_it_stops_renewing_it(database):
    leases = database.recosts
    assert await has_lease(leases, "job", ONE, 60)
    assert not await has_lease(leases, "job", OTHER, 60)
    assert await has_lease(leases, "other job", OTHER, 60)
    taken = (await leases.find_one({"_id": "job"}))["lease"]["until"]
    assert await has_lease(leases, "job", ONE, 90)
    renewed = (await leases.find_one({"_id": "job"}))["lease"]["until"]
    assert renewed - taken >= timedelta(seconds=30)
    assert await has_lease(leases, "job", ONE, 0)
    assert await has_lease(leases, "job", OTHER, 60)
    assert not await has_lease(leases, "job", ONE, 60)
