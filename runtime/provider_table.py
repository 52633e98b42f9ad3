"""From the providers of the database to the table that calls are routed by, again and again while the bridge runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import quote
from uuid import UUID

from intercept.secrets import KnownSecrets
from runtime.factories import make_network, make_provider
from runtime.logs import hide_in_logs
from runtime.process import now as wall_clock
from settings import ProviderSettings, Settings
from settings.kinds import AWS_ACCESS_KEY
from storage.mongo.followed import Followed
from storage.providers.documents import StoredProvider
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import Sealer, SealError
from upstream.connections.network import Network, make_tls_of_texts
from upstream.credentials.access import Credential
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Availability, Provider, ProviderSource, find_fault
from upstream.providers.table import Routing

_log = logging.getLogger(__name__)


@dataclass
class ManagedRouting:
    """Puts providers of the database into the table.

    Attributes:
        settings: For the ways to providers.
        sealer: Opens their keys.
        routing: Has the table.
        secrets: Gets their keys, which must never be recorded or exported.
        on_table: Called with the providers by name, for their prices, see `storage.prices.pricing`.
    """

    settings: Settings
    sealer: Sealer
    routing: Routing
    secrets: KnownSecrets
    on_table: Callable[[Mapping[str, tuple[str, str]]], None]
    _made: dict[str, tuple[StoredProvider, Provider]] = field(default_factory=dict)

    def load(self, stored: Sequence[StoredProvider]) -> None:
        """Replace the table. A provider that is as it was stays the same object, with the tokens that it fetched."""
        made: dict[str, tuple[StoredProvider, Provider]] = {}
        for one in stored:
            try:
                made[one.spec.name] = one, self._provider(one)
            except (ValueError, OSError) as error:  # of TLS the latter
                _log.warning("the provider %s cannot be used by this version: %s", one.spec.name, error)
        self._made = made
        table = self.routing.replace(provider for _, provider in made.values())
        self.on_table({name: (one.preset.prices, one.base_url) for name, one in table.providers.items()})
        for name in made.keys() & self.routing.fixed_names:
            _log.warning("the provider %s of the environment replaces the one in the database", name)
        types = {name: one.type for name, one in table.providers.items()}
        for name, (_, provider) in made.items():
            if fault := find_fault(name, provider.type, provider.fallback, types):
                _log.warning("the provider %s names fallbacks that cannot be used: %s", name, fault)

    def _provider(self, stored: StoredProvider) -> Provider:
        before, provider = self._made.get(stored.spec.name, (None, None))
        if provider is not None and before == stored:
            return provider
        sealed = {f"key {number}": partial(self.sealer.open, key.sealed) for number, key in enumerate(stored.keys, 1)}
        named = {name: partial(self.sealer.open_named, name, secret.sealed) for name, secret in stored.secrets.items()}
        keys, secrets = tuple(_opened(stored, sealed).values()), _opened(stored, named)
        known = [*keys, *secrets_in(secrets)]
        self.secrets.learn(known)
        hide_in_logs(known)
        return make_managed(self.settings, stored, keys, secrets)


def _opened(stored: StoredProvider, sealed: Mapping[str, Callable[[UUID], str]]) -> dict[str, str]:
    """What of a provider can be opened, by what it is called."""
    opened = {}
    for what, open_ in sealed.items():
        try:
            opened[what] = open_(stored.id)
        except SealError as error:
            _log.warning("%s of the provider %s cannot be opened: %s", what, stored.spec.name, error)
    return opened


async def follow_providers(
    settings: Settings,
    managed: ManagedProviders,
    routing: Routing,
    secrets: KnownSecrets,
    on_table: Callable[[Mapping[str, tuple[str, str]]], None],
) -> Followed[Sequence[StoredProvider]]:
    """Read the providers of the database, if it is available, and make what follows them; see `ManagedRouting`."""
    loader = ManagedRouting(settings, managed.sealer, routing, secrets, on_table)
    followed: Followed[Sequence[StoredProvider]] = Followed(managed.list_all, loader.load, now=wall_clock)
    await followed.try_refresh()
    return followed


def secrets_in(secrets: Mapping[str, str]) -> list[str]:
    """The parts of a provider's secrets that must never be shown: passwords, and the secret part of an access key."""
    parts = secrets.get("aws_access_key", "").split(":", 2)[1:]
    return [text for text in (*parts, secrets.get("proxy_credentials", "").partition(":")[2]) if text]


def make_managed(
    settings: Settings, stored: StoredProvider, keys: tuple[str, ...], secrets: Mapping[str, str]
) -> Provider:
    """Make a provider of its document, with the keys and secrets that could be decrypted."""
    spec = stored.spec
    type_ = ProviderType(spec.type)
    declared = ProviderSettings(
        name=spec.name,
        type=type_,
        base_url=spec.base_url or PRESETS[type_].url_in(spec.region),
        keys=keys,
        credential=Credential(spec.credential) if spec.credential else None,
        region=spec.region,
        project=spec.project,
        fallback=spec.fallback,
        weight=spec.weight,
        proxy_url=_proxy_url(spec.proxy_url, secrets.get("proxy_credentials", "")),
        aws_access_key=AWS_ACCESS_KEY.parse(secrets["aws_access_key"]) if "aws_access_key" in secrets else None,
    )
    if spec.disabled:
        availability = Availability.DISABLED
    else:
        is_sealed = (stored.keys and not keys) or stored.secrets.keys() != secrets.keys()
        availability = Availability.SEALED if is_sealed else Availability.READY
    network = make_network(settings, declared)
    if spec.ca_certificates or "client_certificate" in secrets:
        tls = make_tls_of_texts(spec.ca_certificates, secrets.get("client_certificate", ""))
        network = Network(network.proxy, tls)
    provider = make_provider(declared, network)
    return replace(provider, source=ProviderSource.DATABASE, availability=availability)


def _proxy_url(url: str, credentials: str) -> str:
    """The address of a proxy with user and password in it, where there are any."""
    user, _, password = credentials.partition(":")
    host = url.removeprefix("http://")
    return f"http://{quote(user, safe='')}:{quote(password, safe='')}@{host}" if credentials else url
