from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from storage.providers.documents import (
    MAX_KEYS,
    KeptKey,
    NewKey,
    ProviderError,
    ProviderSpec,
    StoredKey,
    StoredProvider,
    changed_fields,
    merge_keys,
)
from tests.cases import for_each

AT = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = ProviderSpec("east", "openai", "https://east.example/v1/")
NAMES = ["k0", "k1", "k2", "k3", "k4", "gone"]
URLS = [
    "https://east.example/v1/",
    "https://east.example/v2/",
    "https://west.example/v1/",
    "http://east.example/v1/",
    "",
]


def stored_key(name):
    return StoredKey(name, f"hint of {name}", name.encode(), AT)


def stored(count, spec=SPEC):
    return StoredProvider(UUID(int=1), spec, tuple(stored_key(f"k{number}") for number in range(count)), AT, AT, 1)


GIVEN = st.one_of(st.sampled_from(NAMES).map(KeptKey), st.sampled_from(["new0", "new1"]).map(NewKey))


@given(
    count=st.integers(0, MAX_KEYS),
    given_keys=st.none() | st.lists(GIVEN, max_size=8),
    url=st.sampled_from(URLS),
    type_=st.sampled_from(["openai", "anthropic"]),
)
def test_keys_are_those_that_are_given_and_what_is_kept_stays_at_its_server(count, given_keys, url, type_):
    old = stored(count)
    spec = structs.replace(SPEC, base_url=url, type=type_)
    wanted = [KeptKey(key.id) for key in old.keys] if given_keys is None else given_keys
    kept = [one.id for one in wanted if isinstance(one, KeptKey)]
    elsewhere = (type_, url.startswith("https://east.example/")) != ("openai", True)
    too_many = len(wanted) > MAX_KEYS or len(set(wanted)) < len(wanted)
    if too_many or not set(kept) <= {key.id for key in old.keys} or (kept and elsewhere):
        with pytest.raises(ProviderError, match=r"^keys: "):
            merge_keys(old, spec, given_keys, stored_key)
        return
    merged = merge_keys(old, spec, given_keys, stored_key)
    assert [key.id for key in merged] == [one.id if isinstance(one, KeptKey) else one.text for one in wanted]
    assert [key for key in merged if key in old.keys] == [stored_key(name) for name in kept]


def test_a_provider_that_is_read_again_is_the_same():
    provider = stored(2)
    assert StoredProvider.of(provider.document) == provider
    assert StoredProvider.of(provider.document | {"of_a_later_version": 1}) == provider


@for_each(
    ("change", "names"),
    [
        ({}, []),
        ({"keys": ()}, ["keys"]),
        ({"spec": structs.replace(SPEC, disabled=True, region="eu")}, ["region", "disabled"]),
        ({"revision": 2}, []),
    ],
)
def test_what_changed_is_named_by_its_fields(change, names):
    assert changed_fields(stored(1), structs.replace(stored(1), **change)) == names
