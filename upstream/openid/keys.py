"""The public keys of a provider (RFC 7517). Pure.

The library that reads them takes 6 MB, so nothing imports this before a provider is set.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from msgspec import Struct

from upstream.openid.errors import ProviderUnavailableError

MAX_KEYS = 100
"""Keys of a provider that are read; what is beyond them is left out."""

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""The sizes of RSA keys that are used: smaller ones are weak, larger ones keep the event loop busy."""

_MAX_EXPONENT_BYTES = 4
_CURVES = frozenset({"P-256", "P-384", "P-521"})
_PUBLIC: Mapping[str, tuple[type[RSAKey | ECKey | OKPKey], tuple[str, ...]]] = MappingProxyType(
    {"RSA": (RSAKey, ("n", "e")), "EC": (ECKey, ("crv", "x", "y")), "OKP": (OKPKey, ("crv", "x"))}
)


class SigningKey(Struct, frozen=True):
    """A public key: `kty` and `curve` say what it may verify, `id` is what tokens call it."""

    kty: str
    curve: str
    id: str | None
    key: Key


def read_keys(body: bytes) -> tuple[SigningKey, ...]:
    """Read the public keys of a provider that verify signatures. What cannot be used is left out, also all of a symmetric key.

    Raises:
        ProviderUnavailableError: It is no set of keys, or none of them can be used.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderUnavailableError(f"the keys cannot be read: {error}") from error
    listed = decoded.get("keys") if isinstance(decoded, dict) else None
    if not isinstance(listed, list):
        raise ProviderUnavailableError('the keys cannot be read: there is no list "keys"')
    keys = tuple(key for one in listed[:MAX_KEYS] if (key := _read_key(one)) is not None)
    if not keys:
        raise ProviderUnavailableError("the provider has no key that can be used")
    return keys


def _read_key(jwk: Any) -> SigningKey | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    kty, kid = jwk.get("kty"), jwk.get("kid")
    if not isinstance(kty, str) or kty not in _PUBLIC:
        return None
    kind, names = _PUBLIC[kty]
    public: dict[str, str] = {}
    for name in names:
        value = jwk.get(name)
        if not isinstance(value, str) or not value.isascii():
            return None
        public[name] = value
    curve = public.get("crv", "")
    try:
        if kty == "RSA" and not _is_fit(public["n"], public["e"]):
            return None
        if (kty == "EC" and curve not in _CURVES) or (kty == "OKP" and curve != "Ed25519"):
            return None
        jwk_parts: dict[str, str | list[str]] = {"kty": kty, **public}
        key = kind.import_key(jwk_parts)
    except (JoseError, ValueError, TypeError, OverflowError):
        return None
    return SigningKey(kty, curve, kid if isinstance(kid, str) else None, key)


def _is_fit(modulus: str, exponent: str) -> bool:
    number, power = (urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in (modulus, exponent))
    bits = int.from_bytes(number).bit_length()
    return MIN_RSA_BITS <= bits <= MAX_RSA_BITS and len(power) <= _MAX_EXPONENT_BYTES
