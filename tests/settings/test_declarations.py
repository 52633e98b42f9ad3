from settings import ProviderSettings, Settings, declared
from upstream.providers.presets import ProviderType


def test_what_may_hold_a_secret_may_be_read_from_a_file():
    secrets = "oidc-client-secret mongodb-uri encryption-keys openai-key anthropic-key upstream-proxy"
    of_a_provider = {f"provider-N-{name}" for name in ("keys", "google-account", "aws-access-key", "proxy-url")}
    expected = {*secrets.split(), "reconcile-openai-key", "reconcile-anthropic-key"} | of_a_provider
    assert {setting.name for setting in declared() if setting.secret} == expected


def test_no_secret_is_in_the_representation():
    further = ProviderSettings("azure", ProviderType.OPENAI, "https://azure.example/v1/", ("s3cret",))
    settings = Settings(
        mongodb_uri="mongodb://u:s3cret@h",
        openai_key=("s3cret",),
        anthropic_key=("s3cret",),
        further_providers=(further,),
    )
    assert "azure" in repr(settings)
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(settings.providers)
