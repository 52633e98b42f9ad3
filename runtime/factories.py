"""Parts of a bridge that are made of the settings alone: nothing here is opened, or has to be closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import monotonic, monotonic_ns, time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from handlers.monitoring.metrics import Metrics
from intercept.secrets import KnownSecrets
from limits.protection.circuit_breaker import BreakerPolicy, CircuitBreakers
from limits.request_limits import LimitSettings
from settings import LimitsScope, ProviderSettings, SettingError, Settings
from settings.kinds import NO_PROXY
from settings.loading import network_to
from storage.admission.cluster import ClusterAuthority
from storage.members.membership import Membership
from storage.mongo.database import Database
from upstream.client import UpstreamClient
from upstream.connections.network import DIRECT, Network, Proxy, make_tls
from upstream.credentials.access import Authorizer, Credential
from upstream.credentials.aws import AwsAuthorizer, botocore_finder
from upstream.credentials.bearer_tokens import BearerAuthorizer, azure_fetcher, google_fetcher
from upstream.credentials.sigv4 import Scope
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Provider
from upstream.telemetry import TelemetryForwarder

if TYPE_CHECKING:
    from upstream.openid.provider import OpenIDProvider


def make_openid(settings: Settings, http: UpstreamClient) -> OpenIDProvider | None:
    """The OpenID provider where people sign in; None where they do not."""
    if not settings.oidc_issuer_url:
        return None
    # They bring a library for signatures, which takes 6 MB.
    from upstream.openid.profiles import Rules  # noqa: PLC0415
    from upstream.openid.provider import OpenIDClient, OpenIDProvider  # noqa: PLC0415

    client = OpenIDClient(
        settings.oidc_issuer_url, settings.oidc_client_id, settings.oidc_client_secret, settings.oidc_scopes
    )
    rules = Rules(
        username_claim=settings.oidc_username_claim,
        group_claim=settings.oidc_group_claim,
        role_claim=settings.oidc_role_claim or settings.oidc_group_claim,
        roles=settings.oidc_role_mapping,
        domains=settings.oidc_allowed_domains,
        assumes_verified=settings.oidc_assume_verified,
    )
    return OpenIDProvider(client, rules, http, network_of=partial(network_to, settings), time=time, monotonic=monotonic)


def make_telemetry_forwarder(
    settings: Settings, http: UpstreamClient, counted: Callable[[str], None]
) -> TelemetryForwarder | None:
    """What passes clients' telemetry on to a collector; None without one."""
    if not (url := settings.telemetry_forward_to):
        return None
    return TelemetryForwarder(url, http, counted=counted, network=network_to(settings, url))


def known_secrets(settings: Settings) -> KnownSecrets:
    """The secrets that the operator set: the providers' keys, and the database's password."""
    password = urlsplit(settings.mongodb_uri).password or ""
    keys = [key for one in settings.providers for key in one.keys]
    keys += filter(None, (settings.oidc_client_secret, settings.reconcile_openai_key, settings.reconcile_anthropic_key))
    keys += [one.google_account["private_key"] for one in settings.providers if one.google_account is not None]
    for access_key in filter(None, (one.aws_access_key for one in settings.providers)):
        keys += access_key.secret_access_key, access_key.session_token
    proxies = [
        urlsplit(url).password or ""
        for url in (settings.upstream_proxy, *[one.proxy_url for one in settings.providers])
    ]
    passwords = [text for one in (password, *proxies) for text in (one, unquote(one))]
    return KnownSecrets((*keys, *passwords))


def make_breakers(settings: Settings, metrics: Metrics) -> CircuitBreakers | None:
    """The circuit breakers as they were set; None when they are off."""
    if not settings.circuit_breaker_enabled:
        return None
    policy = BreakerPolicy(
        failure_threshold=settings.circuit_breaker_failure_threshold,
        interval=settings.circuit_breaker_interval,
        timeout=settings.circuit_breaker_timeout,
        max_requests=settings.circuit_breaker_max_requests,
    )
    breakers = CircuitBreakers(policy, monotonic_ns, metrics.circuit_changed)
    metrics.watch_circuits(breakers.states)
    return breakers


def make_cluster(settings: Settings, database: Database, membership: Membership) -> ClusterAuthority | None:
    """Who counts for all servers on the database; None where each server counts for itself."""
    if settings.limits_scope is not LimitsScope.CLUSTER:
        return None
    return ClusterAuthority(database, membership)


def make_limit_settings(settings: Settings) -> LimitSettings:
    """The limits for every request."""
    return LimitSettings(
        max_concurrency=settings.max_concurrency,
        user_max_concurrency=settings.user_max_concurrency,
        rate_limit=settings.rate_limit,
        user_rate_limit=settings.user_rate_limit,
        rate_window=settings.rate_window,
        user_token_limit=settings.user_token_limit,
        token_window=settings.token_window,
        count_cache_reads=settings.count_cache_reads,
        user_budget=int(settings.user_budget_usd * 1_000_000),
        budget_period=settings.user_budget_period,
        budget_zone=settings.budget_timezone,
        reserve=settings.limits_reserve,
    )


def make_provider(settings: ProviderSettings, network: Network = DIRECT) -> Provider:
    """A provider from the settings.

    One without a key and with another address than the vendor's is a server that needs no key.
    """
    preset = PRESETS[ProviderType(settings.type)]
    without_key = preset.is_own_server or settings.credential is Credential.NONE
    moved = bool(preset.base_url) and settings.base_url != preset.base_url
    return Provider(
        name=settings.name,
        type=ProviderType(settings.type),
        base_url=settings.base_url,
        keys=() if settings.credential is Credential.NONE else settings.keys,
        keys_setting=settings.keys_setting,
        keyless=without_key or (moved and not preset.is_own_key_only and not preset.aws_service),
        credential=settings.credential,
        project=settings.project,
        region=settings.region,
        authorizer=make_authorizer(settings),
        network=network,
        extra_routes=tuple(route.of(preset.dialect) for route in settings.routes),
        fallback=settings.fallback,
        weight=settings.weight,
    )


def make_network(settings: Settings, provider: ProviderSettings) -> Network:
    """The way to a provider.

    Raises:
        SettingError: A file cannot be used.
    """
    if not provider.proxy_url:
        network = network_to(settings, provider.base_url)
    else:
        network = DIRECT if provider.proxy_url == NO_PROXY else Network(Proxy.of(provider.proxy_url))
    files = (provider.ca_file, provider.client_certificate_file, provider.client_key_file)
    if not any(files):
        return network
    try:
        return Network(network.proxy, make_tls(*files))
    except OSError as error:
        prefix = provider.keys_setting.removesuffix("keys")
        names = f"{prefix}ca-file, {prefix}client-certificate-file or {prefix}client-key-file"
        raise SettingError(f"{names} cannot be used: {error.strerror or error}") from error


def make_authorizer(settings: ProviderSettings) -> Authorizer | None:
    """What signs for a provider or fetches tokens; None where it has a key, or needs none, and where nothing can sign."""
    preset = PRESETS[ProviderType(settings.type)]
    if settings.keys:
        return None
    if preset.aws_service:
        if settings.credential not in {None, Credential.AWS}:
            return None
        key = settings.aws_access_key  # the one that was set, else what botocore finds
        find = botocore_finder(settings.aws_profile) if key is None else lambda: key
        return AwsAuthorizer(find, Scope(settings.region, preset.aws_service), lambda: datetime.now(UTC))
    match settings.credential or preset.credential:
        case Credential.GOOGLE:
            return BearerAuthorizer(google_fetcher(settings.google_account), time)
        case Credential.AZURE:
            return BearerAuthorizer(azure_fetcher(os.environ), time)
    return None


def make_providers(settings: Settings, demo_url: str) -> list[Provider]:
    """All providers as they were set, and the demo provider where it has a URL."""
    providers = [make_provider(one, make_network(settings, one)) for one in settings.providers]
    if demo_url:
        providers.append(Provider("demo", ProviderType.DEMO, demo_url, keyless=True))
    return providers
