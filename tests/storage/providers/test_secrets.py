"""The other secrets of a provider besides its keys: sealed, kept, removed, and sealed again."""

from __future__ import annotations

import pytest
from msgspec import structs

from storage.providers.documents import PROXY_GIVEN_AGAIN
from tests.storage.providers.test_managed import (  # noqa: F401 - two are fixtures
    EAST,
    LATER,
    NEW,
    NOON,
    OLD,
    audited,
    clock,
    manage,
    managed,
    refusal,
    trail,
)

PROXIED = structs.replace(EAST, proxy_url="http://proxy.example:3128")
TEXTS = {"proxy_credentials": "ada:p4ss", "client_certificate": "-----BEGIN ..."}


def texts_of(managed, provider):  # noqa: F811 - the fixture
    return {name: managed.sealer.open_named(name, one.sealed, provider.id) for name, one in provider.secrets.items()}


@pytest.mark.gen_test
async def test_secrets_are_sealed_and_only_what_is_no_secret_is_told(managed, database):  # noqa: F811 - the fixture
    added = await managed.add(PROXIED, (), TEXTS)
    assert {name: (one.hint, one.added_at) for name, one in added.secrets.items()} == {
        "proxy_credentials": ("ada", NOON),
        "client_certificate": ("", NOON),
    }
    assert texts_of(managed, added) == TEXTS
    assert await managed.find("east") == added
    document = await database.providers.find_one()
    assert document == added.document
    assert not any(text.partition(":")[2].encode() in repr(document).encode() for text in ("ada:p4ss",))


@pytest.mark.gen_test
async def test_what_is_for_a_proxy_never_goes_to_another_one(managed):  # noqa: F811 - the fixture
    added = await managed.add(PROXIED, (), TEXTS)
    other = {"proxy_url": "http://other.example:3128"}
    assert await refusal(managed.change("east", other)) == [("proxy_credentials", PROXY_GIVEN_AGAIN)]
    assert await managed.find("east") == added
    moved = await managed.change("east", other, None, {"proxy_credentials": "eve:x"})
    assert texts_of(managed, moved)["proxy_credentials"] == "eve:x"
    direct = await managed.change("east", {"proxy_url": ""})
    assert direct.secrets.keys() == {"client_certificate"}
