from datetime import UTC, datetime

from runtime.factories import known_secrets, make_provider
from settings import ProviderSettings, Settings
from tests.cases import for_each
from upstream.credentials.access import Credential
from upstream.credentials.sigv4 import AwsKeys
from upstream.providers.presets import ProviderType


@for_each(
    ("type_", "base_url", "keyless"),
    ("azure", "https://a.openai.azure.com/", False),
    ("foundry", "https://a.services.ai.azure.com/anthropic/", False),
    ("copilot", "https://api.business.githubcopilot.com/", False),
    ("ollama", "http://127.0.0.1:11434/v1/", True),
    ("vllm", "http://10.0.0.7:8000/v1/", True),
    ("openai-compatible", "https://llm.example.com/v1/", True),
)
def test_a_vendors_provider_needs_a_key_and_an_own_server_does_not(type_, base_url, keyless):
    assert make_provider(ProviderSettings("p", ProviderType(type_), base_url)).keyless is keyless


def test_no_key_is_sent_where_none_is_to_be():
    settings = ProviderSettings("p", ProviderType.AZURE, "https://h/", ("sk",), credential=Credential.NONE)
    provider = make_provider(settings)
    assert (provider.keys, provider.keyless) == ((), True)


def bedrock(**settings):
    return make_provider(ProviderSettings("p", ProviderType.BEDROCK, "https://h/", region="us-east-1", **settings))


async def test_requests_to_aws_are_signed_with_the_access_key_that_was_set(io_loop):
    authorizer = bedrock(aws_access_key=AwsKeys("AKIDEXAMPLE", "secret")).authorizer
    assert authorizer is not None
    headers = dict(await authorizer.authorize("POST", "https://h/model/m/invoke", [], b""))
    scope = datetime.now(UTC).strftime("AKIDEXAMPLE/%Y%m%d/us-east-1/bedrock/aws4_request")
    assert headers["Authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={scope}, ")


async def test_requests_to_aws_are_signed_with_what_botocore_finds(io_loop, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDFOUND")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    authorizer = bedrock().authorizer
    assert authorizer is not None
    headers = dict(await authorizer.authorize("POST", "https://h/model/m/invoke", [], b""))
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDFOUND/")


def test_the_secrets_of_an_access_key_are_known():
    access_key = AwsKeys("AKIDEXAMPLE0000000", "a-secret-access-key", "a-session-token")
    provider = ProviderSettings("p", ProviderType.BEDROCK, "https://h/", aws_access_key=access_key)
    said = ["AKIDEXAMPLE0000000", "a-secret-access-key", "a-session-token"]
    hidden = ["AKIDEXAMPLE0000000", "[scrubbed]", "[scrubbed]"]
    assert known_secrets(Settings(further_providers=(provider,))).hide(said) == hidden
