import json

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from resources.bodies import InvalidBodyError
from resources.provider_bodies import NewProvider, ProviderChange, check_provider
from storage.providers.documents import MAX_KEYS, ProviderSpec

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["id", "x"]), inner, max_size=2),
    max_leaves=10,
)
FIELDS = ["name", "type", "base_url", "credential", "region", "project", "disabled", "keys", "x"]


def read(kind, data):
    """The body, or None and what is wrong with it."""
    try:
        return kind.read(data), None
    except InvalidBodyError as error:
        return None, error.problems


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_any_object_is_read_or_refused_by_the_names_of_its_fields(given_fields):
    for kind in (NewProvider, ProviderChange):
        body, problems = read(kind, json.dumps(given_fields).encode())
        if body is None:
            assert problems
            assert {field for field, _ in problems} <= set(FIELDS)
        else:
            keys = body.new_keys if kind is NewProvider else body.given_keys or []
            assert len(keys) <= MAX_KEYS


def test_the_tokens_of_the_server_go_to_whose_they_are_alone():
    vertex = ProviderSpec(
        "v", "vertex", "https://europe-west4-aiplatform.googleapis.com/", region="global", project="p"
    )
    own_proxy = {"proxy_url": "http://proxy.example:3128", "ca_certificates": "-----BEGIN .."}
    assert check_provider(vertex, 0) == check_provider(structs.replace(vertex, base_url=""), 0) == []
    for name in ("own.openai.azure.com", "own.cognitiveservices.azure.us", "own.services.ai.azure.com"):
        azure = ProviderSpec("a", "azure", f"https://{name}/", credential="azure")
        assert check_provider(azure, 0) == [], name
    for changes, keys, fields in (
        ({"base_url": "https://googleapis.com.example/"}, 0, ["base_url"]),
        ({"base_url": "http://aiplatform.googleapis.com/"}, 0, ["base_url"]),
        ({"type": "openai", "credential": "google", "base_url": "https://example/"}, 0, ["base_url"]),
        ({"type": "openai", "credential": "google", "base_url": ""}, 0, ["base_url"]),
        ({"type": "azure", "credential": "azure", "base_url": "https://own.azure-api.net/"}, 0, ["base_url"]),
        ({"type": "azure", "base_url": "https://example/"}, 0, []),
        (own_proxy, 0, ["ca_certificates"]),
        ({"base_url": "https://example/"} | own_proxy, 1, []),
    ):
        problems = check_provider(structs.replace(vertex, **changes), keys)
        assert [field for field, _ in problems] == fields
