"""Providers as they were set: their credentials, and the network by which each is reached."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from time import time
from urllib.parse import urlsplit

from settings import ProviderSettings, SettingError, Settings
from settings.kinds import NO_PROXY
from upstream.connections.network import DIRECT, Network, Proxy, is_direct, make_tls
from upstream.credentials.access import Authorizer, Credential
from upstream.credentials.aws import AwsAuthorizer, botocore_finder
from upstream.credentials.bearer_tokens import BearerAuthorizer, azure_fetcher, google_fetcher
from upstream.credentials.sigv4 import Scope
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Provider


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
    proxy_url = provider.proxy_url
    if not proxy_url and not is_direct(urlsplit(provider.base_url).hostname or "", settings.no_proxy):
        proxy_url = settings.upstream_proxy
    proxy = None if proxy_url in {"", NO_PROXY} else Proxy.of(proxy_url)
    files = (provider.ca_file, provider.client_certificate_file, provider.client_key_file)
    if not any(files):
        return DIRECT if proxy is None else Network(proxy)
    try:
        return Network(proxy, make_tls(*files))
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
        signs = settings.credential in {None, Credential.AWS}
        return make_aws_authorizer(settings, preset.aws_service) if signs else None
    match settings.credential or preset.credential:
        case Credential.GOOGLE:
            return BearerAuthorizer(google_fetcher(settings.google_account), time)
        case Credential.AZURE:
            return BearerAuthorizer(azure_fetcher(os.environ), time)
    return None


def make_aws_authorizer(settings: ProviderSettings, service: str) -> AwsAuthorizer:
    """What signs requests to a service of AWS: with the access key that was set, else with what botocore finds."""
    key = settings.aws_access_key
    find = botocore_finder(settings.aws_profile) if key is None else lambda: key
    return AwsAuthorizer(find, Scope(settings.region, service), lambda: datetime.now(UTC))


def make_providers(settings: Settings, demo_url: str) -> list[Provider]:
    """All providers as they were set, and the demo provider where it has a URL."""
    providers = [make_provider(one, make_network(settings, one)) for one in settings.providers]
    if demo_url:
        providers.append(Provider("demo", ProviderType.DEMO, demo_url, keyless=True))
    return providers
