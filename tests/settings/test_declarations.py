from datetime import timedelta
from pathlib import Path

from settings import (
    Address,
    ChatStreamUsage,
    LimitsScope,
    ProviderSettings,
    RecordPolicy,
    Settings,
    TokenCreation,
    declared,
)
from upstream.providers.presets import ProviderType

DEFAULTS = {
    "http-address": "127.0.0.1:4001",
    "tls-cert-file": "",
    "tls-key-file": "",
    "max-body-bytes": "64MiB",
    "max-form-bytes": "512MiB",
    "drain-timeout": "30s",
    "token-creation": "members",
    "tokens-per-user": "10",
    "trusted-proxies": "",
    "session-idle-timeout": "12h",
    "session-lifetime": "7d",
    "structured-logging": "false",
    "otel-traces": "false",
    "workers": "1",
    "local-sign-in": "true",
    "oidc-issuer-url": "",
    "oidc-client-id": "",
    "oidc-client-secret": "",
    "oidc-name": "",
    "oidc-scopes": "openid profile email",
    "oidc-username-claim": "email",
    "oidc-group-claim": "",
    "oidc-role-claim": "",
    "oidc-role-mapping": "",
    "oidc-allowed-domains": "",
    "oidc-assume-verified": "false",
    "oidc-link-users": "false",
    "oidc-sign-out": "false",
    "oidc-create-groups": "false",
    "auth-proxy-header": "",
    "mongodb-uri": "",
    "mongodb-database": "aibridge",
    "data-dir": "data",
    "encryption-keys": "",
    "retention": "60d",
    "record-policy": "spool",
    "openai-base-url": "https://api.openai.com/v1/",
    "openai-key": "",
    "openai-routes": "",
    "openai-fallback": "",
    "openai-weight": "0",
    "anthropic-base-url": "https://api.anthropic.com/",
    "anthropic-key": "",
    "anthropic-routes": "",
    "anthropic-fallback": "",
    "anthropic-weight": "0",
    "allow-byok": "true",
    "allow-billing-headers": "false",
    "send-actor-headers": "false",
    "upstream-idle-timeout": "300s",
    "upstream-proxy": "",
    "no-proxy": "",
    "chat-stream-usage": "ensure",
    "responses-websocket": "true",
    "realtime-websocket": "true",
    "keepalive-interval": "0",
    "provider-N-name": None,
    "provider-N-type": None,
    "provider-N-base-url": None,
    "provider-N-keys": "",
    "provider-N-credential": "",
    "provider-N-region": "",
    "provider-N-project": "",
    "provider-N-google-account": "",
    "provider-N-aws-access-key": "",
    "provider-N-aws-profile": "",
    "provider-N-proxy-url": "",
    "provider-N-ca-file": "",
    "provider-N-client-certificate-file": "",
    "provider-N-client-key-file": "",
    "provider-N-routes": "",
    "provider-N-fallback": "",
    "provider-N-weight": "0",
    "max-concurrency": "0",
    "rate-limit": "0",
    "user-rate-limit": "0",
    "rate-window": "1s",
    "user-max-concurrency": "0",
    "user-token-limit": "0",
    "token-window": "1m",
    "count-cache-reads": "false",
    "user-budget-usd": "0",
    "user-budget-period": "month",
    "budget-timezone": "UTC",
    "limits-reserve": "false",
    "authentication-failure-limit": "30",
    "limits-scope": "process",
    "circuit-breaker-enabled": "false",
    "circuit-breaker-failure-threshold": "5",
    "circuit-breaker-interval": "10s",
    "circuit-breaker-timeout": "30s",
    "circuit-breaker-max-requests": "3",
    "reconcile-openai-key": "",
    "reconcile-openai-url": "https://api.openai.com/",
    "reconcile-anthropic-key": "",
    "reconcile-anthropic-url": "https://api.anthropic.com/",
}
ENVIRONMENT_ONLY = {
    "oidc-client-secret", "encryption-keys", "reconcile-openai-key", "reconcile-anthropic-key",
    "openai-key", "openai-routes", "anthropic-key", "anthropic-routes", "provider-N-routes",
    "provider-N-fallback", "provider-N-weight",
    "provider-N-name", "provider-N-type", "provider-N-base-url", "provider-N-keys",
    "provider-N-credential", "provider-N-region", "provider-N-project", "provider-N-google-account",
    "provider-N-aws-access-key", "provider-N-aws-profile",
    "provider-N-proxy-url", "provider-N-ca-file", "provider-N-client-certificate-file", "provider-N-client-key-file",
}  # fmt: skip


def test_every_setting_is_declared_once_with_its_default():
    assert [(setting.name, setting.default) for setting in declared()] == list(DEFAULTS.items())


def test_keys_and_further_providers_are_set_by_environment_only():
    assert {setting.name for setting in declared() if setting.flag is None} == ENVIRONMENT_ONLY


def test_what_may_hold_a_secret_may_be_read_from_a_file():
    further = {f"provider-N-{name}" for name in ("keys", "google-account", "aws-access-key", "proxy-url")}
    secrets = {
        "oidc-client-secret",
        "mongodb-uri",
        "encryption-keys",
        "openai-key",
        "anthropic-key",
        "upstream-proxy",
        "reconcile-openai-key",
        "reconcile-anthropic-key",
    } | further
    assert {setting.name for setting in declared() if setting.secret} == secrets


def test_every_setting_says_what_it_is_for_in_a_sentence():
    assert [setting.name for setting in declared() if not setting.help.endswith(".")] == []


def test_without_arguments_settings_hold_the_defaults():
    assert Settings() == Settings(
        http_address=Address("127.0.0.1", 4001),
        max_body_bytes=64 * 1024 * 1024,
        drain_timeout=timedelta(seconds=30),
        token_creation=TokenCreation.MEMBERS,
        tokens_per_user=10,
        trusted_proxies=(),
        structured_logging=False,
        otel_traces=False,
        workers=1,
        mongodb_uri="",
        mongodb_database="aibridge",
        data_dir=Path("data"),
        retention=timedelta(days=60),
        record_policy=RecordPolicy.SPOOL,
        openai_base_url="https://api.openai.com/v1/",
        openai_key=(),
        anthropic_base_url="https://api.anthropic.com/",
        anthropic_key=(),
        further_providers=(),
        allow_byok=True,
        send_actor_headers=False,
        upstream_idle_timeout=timedelta(seconds=300),
        chat_stream_usage=ChatStreamUsage.ENSURE,
        keepalive_interval=timedelta(0),
        max_concurrency=0,
        rate_limit=0,
        user_rate_limit=0,
        rate_window=timedelta(seconds=1),
        user_max_concurrency=0,
        authentication_failure_limit=30,
        limits_scope=LimitsScope.PROCESS,
        circuit_breaker_enabled=False,
        circuit_breaker_failure_threshold=5,
        circuit_breaker_interval=timedelta(seconds=10),
        circuit_breaker_timeout=timedelta(seconds=30),
        circuit_breaker_max_requests=3,
    )


def test_the_built_in_providers_come_first():
    further = ProviderSettings("azure", ProviderType.OPENAI, "https://azure.example/v1/", ("sk-3",))
    settings = Settings(openai_key=("sk-1",), anthropic_key=("sk-2",), further_providers=(further,))
    assert settings.providers == (
        ProviderSettings("openai", ProviderType.OPENAI, "https://api.openai.com/v1/", ("sk-1",), "openai-key"),
        ProviderSettings("anthropic", ProviderType.ANTHROPIC, "https://api.anthropic.com/", ("sk-2",), "anthropic-key"),
        further,
    )


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
