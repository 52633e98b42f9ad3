from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from storage.prices.documents import NO_VERSION
from storage.prices.store import CHANGED, PriceStore
from tests.storage.costs.test_own_prices import price

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
CLAUDE, GPT = (
    price(cache_read="0.30", cache_write="3.750001", cache_write_1h="6"),
    price("openai", "gpt-5*", input_="1.25"),
)


@pytest.fixture
def store(database):
    return PriceStore(database, now=lambda: NOON)


@pytest.mark.gen_test
async def test_a_change_is_audited_with_what_came_and_went(store, database):
    await store.change(lambda _: [GPT, CLAUDE])
    dearer = price("openai", "gpt-5*", input_="1.30")
    await store.change(lambda before: [CLAUDE, dearer] if GPT in before else [])
    entries = await database.audit.find().sort("_id").to_list(None)
    assert sorted(entry["action"] for entry in entries) == ["prices.changed"] * 2
    details = {tuple(entry["detail"]["prices_removed"]): entry["detail"]["prices_added"] for entry in entries}
    assert details == {(): [str(CLAUDE), str(GPT)], (str(GPT),): [str(dearer)]}


@pytest.mark.parametrize("known", [False, True], ids=["the first prices", "later ones"])
@pytest.mark.gen_test
async def test_of_two_who_change_one_version_at_once_the_second_is_told(store, known):
    version = (await store.change(lambda _: [GPT])).version if known else NO_VERSION
    changes = (store.change(lambda _, one=one: [one], versions=[version]) for one in (CLAUDE, price(model="x")))
    told = await asyncio.gather(*changes, return_exceptions=True)
    assert [str(one) for one in told if isinstance(one, Exception)] == [CHANGED]
    (kept,) = [one for one in told if not isinstance(one, Exception)]
    assert await store.read() == kept
