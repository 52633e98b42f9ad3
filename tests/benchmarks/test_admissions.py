from uuid import UUID

import pytest

from benchmarks import admissions as benchmark
from benchmarks.admissions import NEAR, ROWS, SERVER_ROWS, measure, use_up
from benchmarks.server_scope import server_authority
from storage.admission.cluster import ClusterAuthority


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.concurrent}")
@pytest.mark.gen_test
async def test_it_measures_decisions_that_the_database_made(database, row):
    await use_up(database)
    authority = ClusterAuthority(database, process=UUID(int=1), round_seconds=30)
    await authority.open()
    for _ in range(5):  # a busy machine decides little in that time
        took = await measure(authority, row, 0.05)
        if authority.commands > 2:
            break
    commands, unavailable = authority.commands, authority.unavailable
    await authority.close()
    assert took == sorted(took)
    assert (commands > 2, unavailable) == (True, False)


@pytest.mark.gen_test
async def test_of_the_rate_that_is_near_less_than_a_fifth_is_left(database):
    await use_up(database)
    authority = ClusterAuthority(database, process=UUID(int=1), round_seconds=30)
    await authority.open()
    decision = await authority.start([NEAR])
    await authority.close()
    assert decision.states[0].remaining == NEAR.maximum // 10 - 1
    assert benchmark.TOKENS == 10_000


@pytest.mark.gen_test
async def test_decisions_of_a_supervisor_are_measured_and_given_back():
    async with server_authority() as authority:
        for row in SERVER_ROWS:
            took = await measure(authority, row, 0.05)
            assert took == sorted(took)
            assert len(took) >= row.concurrent
        assert {state.limit.kind for state in await authority.usage(1)} == {"rate"}
