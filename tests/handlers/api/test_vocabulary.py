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
    assert list(said["rules"]) == list(Rule)
    assert list(said["ends"]) == [one for one in EndReason if one is not EndReason.COMPLETED]
    assert all(one["meaning"].endswith((".", ").")) for one in (*said["rules"].values(), *said["ends"].values()))
    assert set(said["roles"]) == set(Role)
    assert list(said["provider_types"]) == [one for one in ProviderType if one is not ProviderType.DEMO]
    assert list(said["alerts"]) == list(AlertType)
    assert list(said["actions"]) == list(Action)
    assert list(said["search_keys"]) == list(SEARCH_KEYS)
    for key, values in said["search_keys"].items():
        for value in values:
            parse_search(f"{key}:{value}")
    keys = {"calls": SEARCH_KEYS, "sessions": SEARCH_KEYS, "refusals": REFUSAL_SEARCH_KEYS}
    for one in said["dimensions"].values():
        assert all(key == "" or key in keys[subject] for subject, key in one["keys"].items())
