from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from storage.mongo.database import DatabaseUnavailableError
from tests.derived import derive, derived_job
from tests.examples import examples
from tests.storage.derived.interruptions import Interrupted
from tests.storage.derived.world import World


@pytest.mark.parametrize("seed", range(examples(2, 20)))
@pytest.mark.gen_test(timeout=600)
async def test_random_calls_add_up_wherever_the_job_stops(database, seed):
    random = Random(seed)
    world = World(database, random)
    calls = examples(200, 500)
    for part in range(10):
        await world.go_on(calls // 10)
        if part in {3, 7}:
            await world.price_again()
        if part in {4, 8}:
            await world.remove_texts()
        job = derived_job(Interrupted(database, random.randint(0, 60)), now=world.now)
        with suppress(DatabaseUnavailableError):
            await job.catch_up()
    await derive(database, now=world.now)
    await world.adds_up()
