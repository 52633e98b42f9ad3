"""The fields of providers of the database: what each is, and how it is read. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from msgspec import Meta

from resources.bodies import OtherReaders, Readers, one_of, read_switch
from resources.fields import doc
from settings.kinds import AWS_ACCESS_KEY, BASE_URL, PROJECT, PROVIDER_NAME, PROXY_URL, REGION, Kind
from storage.providers.documents import MAX_KEYS, GivenKey, KeptKey, NewKey
from upstream.connections.network import make_tls_of_texts
from upstream.credentials.access import Credential
from upstream.providers.presets import ProviderType
from upstream.providers.provider import MAX_FALLBACKS, MAX_WEIGHT

MAX_KEY = 600
"""Characters of a key."""

MAX_URL = 500
"""Characters of a base URL."""

MAX_AWS_KEY = 4096
"""Characters of an access key of AWS: a session token is long."""

MAX_PEM = 24 * 1024
"""Characters of certificates."""

TYPES = tuple(one for one in ProviderType if one is not ProviderType.DEMO)
NOT_FREE = ("configured", "performance")
"""Names that are reserved by other paths."""


def _of_kind(kind: Kind[Any], most: int = 200) -> Callable[[str], str]:
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
    if name in NOT_FREE:
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
