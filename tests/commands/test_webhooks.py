import json
from base64 import b64encode
from functools import partial

import pytest

from commands.command import now
from storage.alerts.webhooks import Webhooks
from storage.providers.sealing import Sealer

URL = "https://hooks.example.com/aibridge"
OLD = b64encode(bytes(32)).decode()


@pytest.fixture
def sealed(run):
    return partial(run, AIBRIDGE_ENCRYPTION_KEYS=OLD)


def test_webhooks_are_added_listed_tested_and_removed(sealed, output):
    added = sealed("webhooks", "add", URL, "--types", "provider.circuit_open", "--description", "On call")
    assert (added.exit_code, added.stdout.startswith("whsec_")) == (0, True)
    (webhook,) = json.loads(output("webhooks", "list", "-o", "json"))["results"]
    assert {"sealed", "secret"} & webhook.keys() == set()
    assert (webhook["url"], webhook["types"], webhook["description"]) == (URL, ["provider.circuit_open"], "On call")
    assert added.stderr == f"{webhook['id']}: the secret will not be shown again.\n"
    assert output("webhooks", "test", webhook["id"]).startswith("id  msg_")
    assert output("webhooks", "list").splitlines()[1].split() == [webhook["id"], URL, "no", "1", "-"]
    assert output("webhooks", "remove", webhook["id"]) == f"{webhook['id']}: done.\n"


def test_secrets_are_sealed_again_for_a_new_encryption_key(sealed, run, database, io_loop):
    secret = sealed("webhooks", "add", URL).stdout.strip()
    new = bytes(range(32))
    rotated = partial(run, "providers", "reseal", AIBRIDGE_ENCRYPTION_KEYS=f"{b64encode(new).decode()},{OLD}")
    assert [rotated().stdout for _ in range(2)] == ["Keys sealed again: 1.\n", "Keys sealed again: 0.\n"]
    (webhook,) = io_loop.run_sync(Webhooks(database, Sealer(), now=now).list_all)
    assert Sealer([new]).open(webhook.sealed, webhook.id) == secret
    newest = io_loop.run_sync(lambda: database.audit.find_one(sort=[("at", -1), ("_id", -1)]))
    assert (newest["action"], newest["detail"]) == ("webhook.changed", {"webhook_id": webhook.id, "changes": ["seals"]})
