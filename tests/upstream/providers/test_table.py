from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest

from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider, ProviderSource
from upstream.providers.table import Routing

AT = datetime(2026, 1, 1, tzinfo=UTC)
FIXED = Provider("openai", ProviderType.OPENAI, "https://api.openai.com/v1/", ("sk-fixed",), "openai-key")
EAST = Provider(
    "east", ProviderType.OPENAI, "https://east.example/v1/", ("sk-1", "sk-2"), source=ProviderSource.DATABASE
)


def routing(**more):
    return Routing([FIXED], lambda: 0.0, lambda: AT, **more)


def test_a_table_is_replaced_as_a_whole_and_the_one_before_stays_as_it_was():
    held = routing(is_complete=False)
    before = held.table
    assert (before.is_complete, list(before.providers), list(before.key_pools)) == (False, ["openai"], ["openai"])
    after = held.replace([EAST])
    assert held.table is after
    assert (after.is_complete, list(after.providers), list(after.key_pools)) == (
        True,
        ["openai", "east"],
        ["openai", "east"],
    )
    assert (before.is_complete, list(before.providers)) == (False, ["openai"])
    with pytest.raises(FrozenInstanceError):
        after.is_complete = False


def test_a_fixed_provider_wins_by_name():
    held = routing()
    held.replace([replace(EAST, name="openai")])
    assert held.table.providers == {"openai": FIXED}
    assert held.fixed_names == {"openai"}


def test_what_is_known_of_keys_stays_with_the_same_keys_at_the_same_address():
    held = routing()
    first = held.replace([EAST]).key_pools
    first["east"].note("sk-1", "gpt-5", 401)
    again = held.replace([replace(EAST, region="eu")]).key_pools
    assert again["east"] is first["east"]
    assert again["openai"] is first["openai"]
    for other in (replace(EAST, keys=("sk-1",)), replace(EAST, base_url="https://west.example/v1/")):
        pool = held.replace([other]).key_pools["east"]
        assert pool is not first["east"]
        assert (pool.keys, pool.refusals) == (other.keys, {})


def test_a_provider_that_is_gone_is_in_no_table_any_more():
    held = routing()
    held.replace([EAST])
    assert list(held.replace([]).providers) == ["openai"]
    assert list(held.table.key_pools) == ["openai"]
