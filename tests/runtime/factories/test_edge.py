from __future__ import annotations

from runtime.factories.edge import known_secrets
from settings import ProviderSettings, Settings
from upstream.credentials.sigv4 import AwsKeys
from upstream.providers.presets import ProviderType


def test_the_secrets_of_an_access_key_are_known():
    access_key = AwsKeys("AKIDEXAMPLE0000000", "a-secret-access-key", "a-session-token")
    provider = ProviderSettings("p", ProviderType.BEDROCK, "https://h/", aws_access_key=access_key)
    said = ["AKIDEXAMPLE0000000", "a-secret-access-key", "a-session-token"]
    hidden = ["AKIDEXAMPLE0000000", "[scrubbed]", "[scrubbed]"]
    assert known_secrets(Settings(further_providers=(provider,))).hide(said) == hidden
