import io
import logging
from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec import structs

from intercept.secrets import KnownSecrets
from runtime.logs import LINE, ScrubbingFormatter
from runtime.provider_table import ManagedRouting
from settings import Settings
from storage.providers.documents import ProviderSpec, StoredKey, StoredProvider, StoredSecret
from storage.providers.sealing import Sealer
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Availability, Provider
from upstream.providers.table import Routing

AT = datetime(2026, 1, 1, tzinfo=UTC)
SEALER = Sealer([bytes(range(32))])
SECRET = "correct-horse-battery-staple"
FIXED = Provider("openai", ProviderType.OPENAI, "https://api.openai.com/v1/")


def stored(name="east", *keys, number=1, **spec):
    id_ = UUID(int=number)
    sealed = tuple(StoredKey(f"id-{key}", "...", SEALER.seal(key, id_), AT) for key in keys)
    return StoredProvider(id_, ProviderSpec(name, **({"type": "openai"} | spec)), sealed, AT, AT, 1)


@pytest.fixture
def secrets():
    return KnownSecrets()


@pytest.fixture
def prices():
    return []


@pytest.fixture
def routing():
    return Routing([FIXED], lambda: 0.0, lambda: AT)


@pytest.fixture
def load(routing, secrets, prices):
    return ManagedRouting(Settings(), SEALER, routing, secrets, prices.append).load


@pytest.mark.expects_log(r"the provider m(oon|ars) cannot be used by this version")
def test_a_provider_of_a_later_version_is_left_out_and_the_others_stay(routing, load, caplog):
    later = [stored("moon", number=2, type="moon"), stored("mars", number=3, credential="mars")]
    load([stored("east"), *later])
    assert list(routing.table.providers) == ["openai", "east"]
    assert caplog.messages == [
        "the provider moon cannot be used by this version: 'moon' is not a valid ProviderType",
        "the provider mars cannot be used by this version: 'mars' is not a valid Credential",
    ]
    load([stored("east"), stored("moon", number=2)])
    assert list(routing.table.providers) == ["openai", "east", "moon"]


@pytest.mark.expects_log(r"the provider said ")
def test_its_keys_are_hidden_from_now_on_in_records_and_in_the_log(load, secrets):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(ScrubbingFormatter(LINE, KnownSecrets()))
    logging.getLogger().addHandler(handler)
    try:
        load([stored("east", SECRET)])
        logging.getLogger("aibridge.test").error("the provider said %s", SECRET)
    finally:
        logging.getLogger().removeHandler(handler)
    assert written.getvalue().endswith("the provider said [scrubbed]\n")
    assert secrets.hide(SECRET) == "[scrubbed]"
    load([])
    assert secrets.hide(SECRET) == "[scrubbed]"


@pytest.mark.expects_log(r"key 1 of the provider east cannot be opened: the sealed key was changed, or moved")
def test_a_key_that_was_moved_from_another_provider_is_left_out(routing, load):
    moved = structs.replace(stored("west", SECRET, number=2), id=UUID(int=1), spec=ProviderSpec("east", "openai"))
    own = stored("east", "second-key").keys
    load([structs.replace(moved, keys=(*moved.keys, *own))])
    east = routing.table.providers["east"]
    assert (east.keys, east.availability) == (("second-key",), Availability.READY)


@pytest.mark.expects_log("proxy_credentials of the provider east cannot be opened: sealed with an encryption key")
def test_a_provider_whose_secret_cannot_be_opened_takes_no_calls(load, routing):
    one = stored(proxy_url="http://proxy.example:3128")
    foreign = Sealer([bytes(32)]).seal_named("proxy_credentials", "ada:x", one.id)
    load([structs.replace(one, secrets={"proxy_credentials": StoredSecret("ada", foreign, AT)})])
    assert routing.table.providers["east"].availability is Availability.SEALED
