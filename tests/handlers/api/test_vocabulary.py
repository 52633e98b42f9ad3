from intercept.records import EndReason
from intercept.refusals import Rule
from storage.accounts.events import Action
from storage.accounts.users import Role
from storage.alerts.documents import AlertType
from storage.queries.filters.search_language import REFUSAL_SEARCH_KEYS, SEARCH_KEYS, parse_search
from upstream.providers.presets import ProviderType


async def test_every_word_is_said_once_and_every_example_of_a_search_is_read(running):
    status, said = await running.get("/api/v2/aibridge/vocabulary", await running.user("grace"))
    assert status == 200
    assert [one["rule"] for one in said["rules"]] == list(Rule)
    assert [one["end_reason"] for one in said["ends"]] == [one for one in EndReason if one is not EndReason.COMPLETED]
    assert all(one["meaning"].endswith((".", ").")) for one in said["rules"] + said["ends"])
    assert {one["role"] for one in said["roles"]} == set(Role)
    assert [one["type"] for one in said["provider_types"]] == [
        one for one in ProviderType if one is not ProviderType.DEMO
    ]
    assert [one["type"] for one in said["alerts"]] == list(AlertType)
    assert [one["action"] for one in said["actions"]] == list(Action)
    assert [one["key"] for one in said["search_keys"]] == list(SEARCH_KEYS)
    for one in said["search_keys"]:
        for value in one["values"]:
            parse_search(f"{one['key']}:{value}")
    keys = {"calls": SEARCH_KEYS, "sessions": SEARCH_KEYS, "refusals": REFUSAL_SEARCH_KEYS}
    for one in said["dimensions"]:
        assert all(key == "" or key in keys[subject] for subject, key in one["keys"].items())
