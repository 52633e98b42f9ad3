"""The providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType, field

from limits.protection.circuit_breaker import CircuitState
from resources.bodies import Body, OtherReaders, Readers, change_of, one_of, read_switch
from resources.fields import Count, Time, doc
from settings.kinds import AWS_ACCESS_KEY, BASE_URL, NO_PROXY, PROJECT, PROVIDER_NAME, PROXY_URL, REGION, SettingKind
from storage.providers.documents import MAX_KEYS, SECRETS, GivenKey, KeptKey, NewKey, ProviderSpec
from upstream.connections.network import make_tls_of_texts
from upstream.credentials.access import Credential
from upstream.providers.presets import PRESETS, Preset, ProviderType
from upstream.providers.provider import MAX_FALLBACKS, MAX_WEIGHT, Availability, ProviderSource

MAX_KEY = 600
"""Characters of a key."""

MAX_URL = 500
"""Characters of a base URL."""

MAX_AWS_KEY = 4096
"""Characters of an access key of AWS: a session token is long."""

MAX_PEM = 24 * 1024
"""Characters of certificates."""

TYPES = tuple(one for one in ProviderType if one is not ProviderType.DEMO)
NOT_FREE = "configured"
"""A name that another path has."""


def _of_kind(kind: SettingKind[Any], most: int = 200) -> Callable[[str], str]:
    def read(text: str) -> str:
        allowed = f"must be {kind.allowed}, of at most {most} characters"
        if len(text) > most:
            raise ValueError(allowed)
        try:
            value: str = kind.parse(text)
        except (ValueError, OverflowError):
            raise ValueError(allowed) from None
        return value

    return read


def _name(text: str) -> str:
    name = _of_kind(PROVIDER_NAME, 64)(text)
    if name == NOT_FREE:
        raise ValueError(f"must not be {name}")
    return name


def _url(text: str) -> str:
    return _of_kind(BASE_URL, MAX_URL)(text) if text else ""


def _proxy(text: str) -> str:
    url = _of_kind(PROXY_URL, MAX_URL)(text)
    if "@" in url:
        raise ValueError("must have no user and no password in it: give them as proxy_credentials")
    return url


def _proxy_credentials(text: str) -> str:
    user, colon, _ = text.partition(":")
    if text and (not user or not colon or len(text) > MAX_KEY or not text.isprintable()):
        raise ValueError(f"must be USER:PASSWORD, of at most {MAX_KEY} characters, or empty")
    return text


def _pem(what: str, make: Callable[[str], object]) -> Callable[[str], str]:
    def read(text: str) -> str:
        wanted = f"must be {what} in PEM, of at most {MAX_PEM:,} characters, or empty"
        if len(text) > MAX_PEM or not text.isascii():
            raise ValueError(wanted)
        try:
            make(text)
        except (OSError, ValueError):
            raise ValueError(wanted) from None
        return text

    return read


def _access_key(text: str) -> str:
    if text:
        _of_kind(AWS_ACCESS_KEY, MAX_AWS_KEY)(text)
    return text


def _fallback(value: Any) -> tuple[str, ...]:
    allowed = f"must be an array of the names of at most {MAX_FALLBACKS} providers, each once"
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(allowed)
    if len(value) > MAX_FALLBACKS or len(set(value)) < len(value):
        raise ValueError(allowed)
    return tuple(_name(name) for name in value)


def _weight(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_WEIGHT:
        raise ValueError(f"must be a whole number from 0 to {MAX_WEIGHT}")
    return value


def _key(value: Any) -> GivenKey:
    match value:
        case str() if value and len(value) <= MAX_KEY and all("!" <= character <= "~" for character in value):
            return NewKey(value)
        case {"id": str(id_)} if len(value) == 1:
            return KeptKey(id_)
        case _:
            raise ValueError(
                f'each must be a key of at most {MAX_KEY} printable ASCII characters without spaces, or {{"id": ID}} of '
                "one that is there"
            )


def _new_keys(value: Any) -> list[GivenKey]:
    if not isinstance(value, list):
        raise ValueError("must be an array")  # noqa: TRY004 - what is wrong with a value, whatever it is
    if len(value) > MAX_KEYS:
        raise ValueError(f"at most {MAX_KEYS} are allowed")
    return [_key(one) for one in value]


def read_new_keys(value: Any) -> list[GivenKey]:
    """Read the keys of a new provider.

    Raises:
        ValueError: With what they must be.
    """
    keys = _new_keys(value)
    if any(isinstance(key, KeptKey) for key in keys):
        raise ValueError("a new provider has no keys to keep: give each as text")
    return keys


READERS: Final[Readers] = {
    "name": _name,
    "type": one_of(TYPES),
    "base_url": _url,
    "credential": one_of(("", *Credential), f"must be one of {', '.join(Credential)}, or empty for what the type has"),
    "region": _of_kind(REGION),
    "project": _of_kind(PROJECT),
    "proxy_url": _proxy,
    "ca_certificates": _pem("certificates", make_tls_of_texts),
    "proxy_credentials": _proxy_credentials,
    "client_certificate": _pem("a certificate with its key", lambda text: make_tls_of_texts("", text)),
    "aws_access_key": _access_key,
}
OTHER_READERS: Final[OtherReaders] = {
    "disabled": read_switch,
    "fallback": _fallback,
    "weight": _weight,
    "keys": _new_keys,
}
"""What reads the fields of a provider that are no texts."""

Name = Annotated[str, Meta(max_length=64, pattern="^[a-z0-9]+(-[a-z0-9]+)*$", description="In the path of its calls.")]
BaseURL = Annotated[str, Meta(max_length=MAX_URL, description="Its address; empty for that of the type's vendor.")]
Region = Annotated[str, doc("Of its cloud.")]
Project = Annotated[str, doc("Of Google Cloud, the only one that clients may name.")]
Keys = Annotated[
    list[str | dict[str, str]],
    Meta(
        max_length=MAX_KEYS,
        description='All that it has from now on; the first is tried first. Each is a key, or `{"id": ID}` of one that is '
        "there. They are never shown again.",
    ),
]
Fallback = Annotated[
    list[str],
    Meta(
        max_length=MAX_FALLBACKS,
        description="Names of other providers of the same dialect, which are asked in this order when it cannot answer.",
    ),
]
Weight = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_WEIGHT,
        description="Its share of the load, among itself and its fallback. Sessions stay together. 0 takes none.",
    ),
]
ProxyURL = Annotated[
    str,
    Meta(
        max_length=MAX_URL,
        description="The proxy to it, `http://HOST:PORT`, or `none`; empty for that of the server. Without user and password.",
    ),
]
Certificates = Annotated[
    str, Meta(max_length=MAX_PEM, description="Authorities to trust beside the system's, in PEM; empty for none.")
]
ProxyCredentials = Annotated[str, doc("`USER:PASSWORD` for its proxy; empty takes them away. Never shown again.")]
ClientCertificate = Annotated[
    str,
    Meta(
        max_length=MAX_PEM,
        description="The certificate to show to it, with its key, in PEM; empty takes it away. Never shown again.",
    ),
]
AccessKey = Annotated[
    str,
    doc("The access key of AWS that signs: `ID:SECRET`, and perhaps `:TOKEN`; empty takes it away. Never shown again."),
]
HowSent = Annotated[
    str,
    Meta(
        description="How its key is sent; empty for what the type has.",
        extra_json_schema={"enum": ["", *Credential]},
    ),
]


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


class ProviderBody(Body):
    """What is sent of a provider."""

    readers: ClassVar[Readers] = READERS
    other_readers: ClassVar[OtherReaders] = OTHER_READERS

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets that are given, by name."""
        return {name: text for name in SECRETS if (text := getattr(self, name)) is not UNSET}

    @property
    def changes(self) -> dict[str, Any]:
        """The given fields of a `ProviderSpec`."""
        return {name: value for name, value in super().changes.items() if name in ProviderSpec.__struct_fields__}

    @property
    def given_keys(self) -> list[GivenKey] | None:
        """Its keys; None where nothing is said of them."""
        keys: list[GivenKey] | UnsetType = getattr(self, "keys")  # noqa: B009 - of those that have some
        return None if keys is UNSET else keys


class NewProvider(ProviderBody):
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


ProviderChange = Annotated[ProviderBody, change_of(NewProvider, without=("name",))]


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


class KeyState(StrEnum):
    """Where the credential for a provider comes from."""

    KEY = "key"
    KEYLESS = "keyless"
    NO_KEY = "no_key"


class KeyCondition(StrEnum):
    """How a key fares. `SEALED`: this server has no encryption key that opens it."""

    READY = "ready"
    COOLING_DOWN = "cooling_down"
    REFUSED = "refused"
    SEALED = "sealed"


class RefusedKey(Struct):
    """That the provider does not accept a key: the status, since when, and to how many calls it said so."""

    status: int
    since: str
    calls: int


class ProviderKey(Struct):
    """A key of the bridge. `cooldowns` is for how many models another key comes first at the moment."""

    hint: str
    setting: Annotated[str, doc("The setting that it comes from; empty for a key in the database.")]
    cooldowns: int
    refused: RefusedKey | None


class ConfiguredProvider(Struct, kw_only=True):
    """A provider that may be called."""

    name: str
    type: ProviderType
    key_state: KeyState
    keys: list[ProviderKey]
    source: Annotated[ProviderSource, doc("The providers of the environment cannot be changed here.")]
    state: Annotated[
        Availability, doc("Calls to a provider that is not `ready` get 503. `sealed`: its keys cannot be decrypted.")
    ]


class DetailedKey(ProviderKey):
    """A key, for owners and auditors. The key itself is never shown."""

    id: Annotated[str | None, doc("Its id, to keep it in a change. Null for a key of the environment.")]
    state: KeyCondition
    added_at: Time | None


class DetailedProvider(ConfiguredProvider, kw_only=True):
    """A provider with its settings, for owners and auditors. Those that have a default are null for one of the environment."""

    keys: list[DetailedKey]  # type: ignore[assignment]
    base_url: str
    credential: Annotated[str, doc("How its key is sent.")]
    region: str
    project: str
    disabled: bool = False
    fallback: Annotated[list[str], doc("Providers that are tried in this order if it cannot answer.")]
    weight: Annotated[Count, doc("Its share of the load, among itself and its fallback.")]
    proxy_url: Annotated[str | None, doc("Empty for the proxy of the server.")] = None
    has_ca_certificates: Annotated[bool | None, doc("Whether it has certificate authorities of its own.")] = None
    has_client_certificate: Annotated[bool | None, doc("Whether the bridge presents a client certificate.")] = None
    aws_access_key: Annotated[str | None, doc("The id of the access key of AWS that signs; empty without one.")] = None
    proxy_credentials: Annotated[str | None, doc("The user at its proxy; empty without one.")] = None
    circuit: Annotated[
        CircuitState | None, doc("The worst of its circuits in this process; null without circuit breakers.")
    ]
    created_at: Time | None = None
    changed_at: Time | None = None


class KeyCheck(Struct):
    """What the provider said to a key, or to a request without one."""

    hint: Annotated[str, doc("The hint of the key; empty if none was sent.")]
    ok: bool
    status: Annotated[int | None, doc("The status of the provider's response; null if there was none.")]
    message: Annotated[str, doc("In words.")]
    models: Annotated[Count | None, doc("The number of models that it lists; null if that is unknown.")]


class ProviderCheck(Struct):
    """The result of a check of a provider with each of its keys."""

    ok: Annotated[bool, doc("Whether every key works.")]
    results: list[KeyCheck]
