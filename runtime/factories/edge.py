"""Where people sign in, and which secrets must be hidden."""

from __future__ import annotations

from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from intercept.secrets import KnownSecrets
from settings import Settings
from settings.loading import network_to
from upstream.client import UpstreamClient

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
