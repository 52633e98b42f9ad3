from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from storage.accounts.users import ChangedMeanwhileError
from storage.costs.own_prices import MAX_PRICES
from storage.prices.documents import NO_VERSION, KeptPrices
from storage.prices.store import CHANGED, TOO_MANY, PriceError, PriceStore
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
async def test_prices_are_kept_to_the_last_digit_sorted_and_with_a_version(store):
    assert (await store.read(), await store.version()) == (KeptPrices(), NO_VERSION)
    kept = await store.change(lambda _: [GPT, CLAUDE])
    assert (kept.prices, kept.changed_at) == ((CLAUDE, GPT), NOON)
    assert (await store.read(), await store.version()) == (kept, kept.version)
    assert [str(one.cache_write) for one in (await store.read()).prices] == ["3.750001", "None"]


@pytest.mark.gen_test
async def test_a_change_is_audited_with_what_came_and_went(store, database):
    await store.change(lambda _: [GPT, CLAUDE])
    dearer = price("openai", "gpt-5*", input_="1.30")
    await store.change(lambda before: [CLAUDE, dearer] if GPT in before else [])
    entries = await database.audit.find().sort("_id").to_list(None)
    assert sorted(entry["action"] for entry in entries) == ["prices.changed"] * 2
    details = {tuple(entry["detail"]["prices_removed"]): entry["detail"]["prices_added"] for entry in entries}
    assert details == {(): [str(CLAUDE), str(GPT)], (str(GPT),): [str(dearer)]}


@pytest.mark.gen_test
async def test_the_same_prices_again_change_nothing(store, database):
    kept = await store.change(lambda _: [GPT])
    assert await store.change(lambda before: before) == kept
    assert await database.audit.count_documents({}) == 1


@pytest.mark.gen_test
async def test_prices_with_the_same_key_and_too_many_are_refused(store):
    twice = price(model="CLAUDE-*", input_="4")
    with pytest.raises(PriceError, match="there are two prices: own price of claude-\\* of anthropic from 2026-11-01"):
        await store.change(lambda _: [CLAUDE, twice])
    many = [price(model=f"m{number}") for number in range(MAX_PRICES + 1)]
    with pytest.raises(PriceError, match=TOO_MANY):
        await store.change(lambda _: many)
    assert len((await store.change(lambda _: many[1:])).prices) == MAX_PRICES


@pytest.mark.gen_test
async def test_who_saw_another_version_changes_nothing(store):
    kept = await store.change(lambda _: [GPT], versions=[NO_VERSION])
    with pytest.raises(ChangedMeanwhileError, match=CHANGED):
        await store.change(lambda _: [], versions=[NO_VERSION])
    assert await store.change(lambda _: [], versions=["x", kept.version]) != kept


@pytest.mark.parametrize("known", [False, True], ids=["the first prices", "later ones"])
@pytest.mark.gen_test
async def test_of_two_who_change_one_version_at_once_the_second_is_told(store, known):
    version = (await store.change(lambda _: [GPT])).version if known else NO_VERSION
    changes = (store.change(lambda _, one=one: [one], versions=[version]) for one in (CLAUDE, price(model="x")))
    told = await asyncio.gather(*changes, return_exceptions=True)
    assert [str(one) for one in told if isinstance(one, Exception)] == [CHANGED]
    (kept,) = [one for one in told if not isinstance(one, Exception)]
    assert await store.read() == kept
