"""The bodies for providers of the database: a new one, a change, and their errors. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType, field

from resources.bodies import Body, OtherReaders, Readers
from resources.provider_fields import (
    OTHER_READERS,
    READERS,
    TYPES,
    AccessKey,
    BaseURL,
    Certificates,
    ClientCertificate,
    Fallback,
    HowSent,
    Keys,
    Name,
    Project,
    ProxyCredentials,
    ProxyURL,
    Region,
    Weight,
    read_new_keys,
)
from settings.kinds import NO_PROXY
from storage.providers.documents import SECRETS, GivenKey, NewKey, ProviderSpec
from upstream.credentials.access import Credential
from upstream.providers.presets import PRESETS, Preset, ProviderType

# Whose tokens the server fetches for itself, and the domains where nobody else has a server that gets them.
_OWN_TOKENS: Final = {
    Credential.GOOGLE: ("Google", ("googleapis.com",)),
    Credential.AZURE: (
        "Microsoft Entra",
        tuple(
            f"{service}.azure.{end}"
            for end in ("com", "us", "cn")
            for service in ("openai", "cognitiveservices", "services.ai")
        ),
    ),
}


UNKNOWN_TYPE = "is not known by this version, as a later one gave it"


class _ProviderBody(Body):
    readers: ClassVar[Readers] = READERS
    other_readers: ClassVar[OtherReaders] = OTHER_READERS

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets that are given, by name."""
        return {name: text for name in SECRETS if (text := getattr(self, name)) is not UNSET}


class ProviderChange(_ProviderBody):
    """Changes of a provider. Fields that are not given stay unchanged."""

    type: ProviderType | UnsetType = UNSET
    base_url: BaseURL | UnsetType = UNSET
    credential: HowSent | UnsetType = UNSET
    region: Region | UnsetType = UNSET
    project: Project | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    fallback: Fallback | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    proxy_url: ProxyURL | UnsetType = UNSET
    ca_certificates: Certificates | UnsetType = UNSET
    proxy_credentials: ProxyCredentials | UnsetType = UNSET
    client_certificate: ClientCertificate | UnsetType = UNSET
    aws_access_key: AccessKey | UnsetType = UNSET
    keys: Keys | UnsetType = UNSET

    @property
    def changes(self) -> dict[str, Any]:
        """The given fields of a `ProviderSpec`."""
        return {name: value for name, value in super().changes.items() if name in ProviderSpec.__struct_fields__}

    @property
    def given_keys(self) -> list[GivenKey] | None:
        """Its keys; None where nothing is said of them."""
        keys: Any = self.keys
        return None if keys is UNSET else keys


class NewProvider(_ProviderBody):
    """A provider to be."""

    name: Name
    type: ProviderType
    base_url: BaseURL = ""
    credential: HowSent = ""
    region: Region = ""
    project: Project = ""
    disabled: bool = False
    fallback: Fallback = field(default_factory=list)
    weight: Weight = 0
    proxy_url: ProxyURL = ""
    ca_certificates: Certificates = ""
    proxy_credentials: ProxyCredentials | UnsetType = UNSET
    client_certificate: ClientCertificate | UnsetType = UNSET
    aws_access_key: AccessKey | UnsetType = UNSET
    keys: Keys | UnsetType = UNSET

    other_readers: ClassVar[OtherReaders] = {**OTHER_READERS, "keys": read_new_keys}

    @property
    def spec(self) -> ProviderSpec:
        """What decides about the way to it."""
        given = {name: getattr(self, name) for name in ProviderSpec.__struct_fields__}
        return ProviderSpec(**given | {"fallback": tuple(self.fallback)})

    @property
    def new_keys(self) -> list[NewKey]:
        """Its keys."""
        keys: Any = self.keys
        return [] if keys is UNSET else list(keys)


def check_provider(spec: ProviderSpec, keys: int, secrets: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return the errors, by field, of a provider with this number of keys and these secrets."""
    if spec.type not in PRESETS:
        return [("type", UNKNOWN_TYPE)]
    type_ = ProviderType(spec.type)
    preset = PRESETS[type_]
    problems = [*_check_cloud(spec, preset, keys)]
    if not problems and not spec.base_url and not preset.url_in(spec.region):
        problems.append(("base_url", f"is required: a provider of the type {type_} has no address of its own"))
    if not keys and (own := _OWN_TOKENS.get(Credential(spec.credential or preset.credential))):
        problems += _check_own_tokens(spec, spec.base_url or preset.url_in(spec.region), *own)
    if keys and preset.is_own_key_only:
        problems.append(
            ("keys", f"a provider of the type {type_} takes no keys: each user brings their own credential")
        )
    if "aws_access_key" in secrets and not preset.aws_service:
        signing = ", ".join(one for one in TYPES if PRESETS[one].aws_service)
        problems.append(("aws_access_key", f"is for requests that are signed: those of the types {signing}"))
    if "proxy_credentials" in secrets and spec.proxy_url in {"", NO_PROXY}:
        problems.append(("proxy_credentials", "are for a proxy_url, and there is none"))
    if spec.name in spec.fallback:
        problems.append(("fallback", f"{spec.name} cannot stand in for itself"))
    if keys and spec.credential == Credential.NONE:
        problems.append(("keys", "none may be given with the credential none"))
    return problems


def _check_cloud(spec: ProviderSpec, preset: Preset, keys: int) -> Iterator[tuple[str, str]]:
    """Check that what its cloud needs is given."""
    if preset.aws_service and not spec.region:
        yield "region", "is required: the region of AWS, such as us-east-1"
    if spec.type == ProviderType.VERTEX:
        for name, given in (("project", spec.project or keys), ("region", spec.region)):
            if not given:
                yield name, f"is required: the {name} of Google Cloud"


def _check_own_tokens(
    spec: ProviderSpec, base_url: str, of: str, domains: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Check that tokens that the server fetches for itself go to whose they are: they open all that it may use there."""
    url = urlsplit(base_url)
    if base_url and (url.scheme != "https" or not f".{url.hostname}".endswith(tuple(f".{one}" for one in domains))):
        rule = f"must be https and of {' or '.join(domains)}: only the environment may send the server's own tokens of {of} elsewhere"
        yield "base_url", rule
    if spec.ca_certificates and spec.proxy_url not in {"", NO_PROXY}:
        yield "ca_certificates", f"may not be given with a proxy_url: it could read the server's own tokens of {of}"
