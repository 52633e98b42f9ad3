from msgspec import structs

from resources.providers import check_provider
from storage.providers.documents import ProviderSpec


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
