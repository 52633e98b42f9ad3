"""The document of a provider of the database, and changes of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Struct, field, structs

MAX_KEYS = 5
"""Keys of a provider."""

MAX_PROVIDERS = 100
"""Providers of a database."""

GIVEN_AGAIN = "must be given again, as the provider has another address, credential or proxy now: keys that are kept never go elsewhere"

PROXY_GIVEN_AGAIN = "must be given again, as the proxy is another one now"


class InvalidProviderError(ValueError):
    """A provider is invalid. `problems` has the errors, by field."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, text in problems))
        self.problems = list(problems)


class StoredKey(Struct, frozen=True):
    """A key: what is said of it, and the key itself, sealed for its provider."""

    id: str
    hint: str
    sealed: bytes
    added_at: datetime


class StoredSecret(Struct, frozen=True):
    """What else of a provider is secret, sealed for it. `hint` is a part that is not, such as the id of an access key."""

    hint: str
    sealed: bytes
    added_at: datetime


SECRETS = ("proxy_credentials", "client_certificate", "aws_access_key")
"""Their names: `USER:PASSWORD` for its proxy, a certificate with its key in PEM, and `ID:SECRET` with perhaps `:TOKEN`."""


class KeptKey(Struct, frozen=True):
    """An existing key, by its id."""

    id: str


class NewKey(Struct, frozen=True):
    """A key that comes, as text."""

    text: str


GivenKey: TypeAlias = KeptKey | NewKey


class ProviderSpec(Struct, frozen=True):
    """What decides about the way to a provider. "" stands for what its type has.

    Attributes:
        name: In the path of calls.
        type: See `upstream.providers.presets`.
        base_url: Ends in a slash.
        credential: How its key is sent.
        region: Of its cloud.
        project: Of Google Cloud.
        disabled: Calls are refused.
        fallback: Names of others that are tried if it cannot answer.
        weight: Its share of the load, between it and those.
        proxy_url: The proxy to it, or `none`; "" stands for that of the server.
        ca_certificates: Authorities to trust beside the system's, in PEM.
    """

    name: str
    type: str
    base_url: str = ""
    credential: str = ""
    region: str = ""
    project: str = ""
    disabled: bool = False
    fallback: tuple[str, ...] = ()
    weight: int = 0
    proxy_url: str = ""
    ca_certificates: str = ""


class StoredProvider(Struct, frozen=True):
    """A provider of the database. Its keys are in the order in which they are used, its `secrets` by their names."""

    id: UUID
    spec: ProviderSpec
    keys: tuple[StoredKey, ...]
    created_at: datetime
    changed_at: datetime
    revision: int
    secrets: dict[str, StoredSecret] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read a document. What a later version added to it is left out."""
        secrets = {name: one for name, one in document.get("secrets", {}).items() if name in SECRETS}
        return msgspec.convert({**document, "id": document["_id"], "spec": document, "secrets": secrets}, cls)

    @property
    def document(self) -> dict[str, Any]:
        """As the database keeps it."""
        return {
            "_id": self.id,
            "schema_version": 1,
            **structs.asdict(self.spec),
            "fallback": list(self.spec.fallback),
            "keys": [structs.asdict(key) for key in self.keys],
            "secrets": {name: structs.asdict(one) for name, one in self.secrets.items()},
            "created_at": self.created_at,
            "changed_at": self.changed_at,
            "revision": self.revision,
        }


Check: TypeAlias = Callable[[ProviderSpec, int, Collection[str]], Sequence[tuple[str, str]]]
"""Returns the errors, by field, of a provider with this number of keys and these secrets."""


def merge_keys(
    old: StoredProvider | None, spec: ProviderSpec, given: Sequence[GivenKey] | None, seal: Callable[[str], StoredKey]
) -> tuple[StoredKey, ...]:
    """Return the new keys of a provider. A kept key is never sent to another address than the one it was given for.

    Args:
        old: The provider before; None for one that is added.
        spec: What it is from now on.
        given: Its keys in their order; None keeps those it has.
        seal: Makes a stored key of a text.

    Raises:
        InvalidProviderError: there are too many, one that is to be kept is not there, or one is given twice.
    """
    kept = {key.id: key for key in old.keys} if old is not None else {}
    wanted: Sequence[GivenKey] = [KeptKey(key) for key in kept] if given is None else given
    if len(wanted) > MAX_KEYS:
        raise InvalidProviderError([("keys", f"at most {MAX_KEYS} are allowed")])
    if len(set(wanted)) < len(wanted):
        raise InvalidProviderError([("keys", "a key is given twice")])
    if unknown := [one.id for one in wanted if isinstance(one, KeptKey) and one.id not in kept]:
        raise InvalidProviderError([("keys", f"there is no key with the id {unknown[0]}")])
    if old is not None and _leads_elsewhere(old.spec, spec) and any(isinstance(one, KeptKey) for one in wanted):
        raise InvalidProviderError([("keys", GIVEN_AGAIN)])
    return tuple(kept[one.id] if isinstance(one, KeptKey) else seal(one.text) for one in wanted)


def merge_secrets(
    old: StoredProvider | None,
    spec: ProviderSpec,
    given: Mapping[str, str],
    seal: Callable[[str, str], StoredSecret],
) -> dict[str, StoredSecret]:
    """Return the new secrets of a provider. A secret kept for a proxy is never sent to another one.

    Args:
        old: The provider before; None for one that is added.
        spec: What it is from now on.
        given: The new ones by name; an empty text removes one. The others stay.
        seal: Makes a stored secret of a name and a text.

    Raises:
        InvalidProviderError: one has to be given again.
    """
    merged = dict(old.secrets) if old is not None else {}
    if old is not None and old.spec.proxy_url != spec.proxy_url and "proxy_credentials" in merged:
        if spec.proxy_url and "proxy_credentials" not in given:
            raise InvalidProviderError([("proxy_credentials", PROXY_GIVEN_AGAIN)])
        del merged["proxy_credentials"]
    for name, text in given.items():
        merged.pop(name, None)
        if text:
            merged[name] = seal(name, text)
    return merged


def changed_fields(old: StoredProvider, new: StoredProvider) -> list[str]:
    """The names of the fields that differ."""
    before, after = structs.asdict(old.spec), structs.asdict(new.spec)
    names = [name for name in after if after[name] != before[name]]
    names += [name for name in SECRETS if old.secrets.get(name) != new.secrets.get(name)]
    return [*names, "keys"] if new.keys != old.keys else names


WAYS = frozenset({"base_url", "type", "credential", "region", "proxy_url", "ca_certificates"})
"""The fields that decide where keys go. After a change of one, keys may have to be given again."""


def _leads_elsewhere(old: ProviderSpec, new: ProviderSpec) -> bool:
    """Whether a key would get to another server or proxy, or into another header, which an address may tell on."""
    return _way(old) != _way(new) or (_proxy_reads(new) and _proxy(old) != _proxy(new))


def _way(spec: ProviderSpec) -> tuple[str, ...]:
    return *urlsplit(spec.base_url)[:2], spec.type, spec.credential, spec.region


def _proxy(spec: ProviderSpec) -> tuple[str, str]:
    return spec.proxy_url, spec.ca_certificates


def _proxy_reads(spec: ProviderSpec) -> bool:
    """Whether a proxy of its own could read its keys: without TLS, or with an authority that the proxy may have made."""
    has_proxy = spec.proxy_url not in {"", "none"}
    return has_proxy and (bool(spec.ca_certificates) or urlsplit(spec.base_url).scheme == "http")
