"""ID tokens, and the keys that sign them: who made a token, for whom, and what it claims. Pure.

Sources: OpenID Connect Core 1.0 section 3.1.3.7, RFC 7515 (signatures), RFC 7517 (keys), RFC 8725 (best practice for tokens).

The library that reads them takes 6 MB, so nothing imports this before a provider is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from joserfc import jws, jwt
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import Struct

from upstream.openid.documents import ProviderUnavailableError, SignInRefusedError, UnknownKeyError
from upstream.openid.flows import LEEWAY_SECONDS

ALGORITHMS = (
    *(f"{family}{bits}" for family in ("RS", "PS") for bits in (256, 384, 512)),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
"""What may sign. Neither `none`, nor what takes a shared secret."""

MAX_KEYS = 100
"""Keys of a provider that are read; what is beyond them is left out."""

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""The sizes of RSA keys that are used: smaller ones are weak, larger ones keep the event loop busy."""

MAX_TRIED_KEYS = 10
"""Keys that are tried for a token that does not say which one it takes."""

MAX_SUBJECT = 255
"""Characters of a subject (OpenID Connect Core 1.0 section 2)."""

SigningKey: TypeAlias = RSAKey | ECKey | OKPKey

_MAX_EXPONENT = 2**32 - 1
_BITS_OF_A_CHARACTER = 6  # in base64
_CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519"})
_PUBLIC: Mapping[str, tuple[type[SigningKey], tuple[str, ...]]] = MappingProxyType(
    {"RSA": (RSAKey, ("n", "e")), "EC": (ECKey, ("crv", "x", "y")), "OKP": (OKPKey, ("crv", "x"))}
)
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
_REGISTRY.max_header_length = 8192
_MALFORMED = (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What the library raises for what it cannot read."""


class Expected(Struct, frozen=True):
    """What an ID token has to say."""

    issuer: str
    client_id: str
    nonce: str


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
    try:
        if jwk.get("use", "sig") != "sig":
            return None
        kind, names = _PUBLIC[jwk["kty"]]
        public = {name: jwk[name] for name in ("kty", *names)}
        if kind is RSAKey and len(public["n"]) * _BITS_OF_A_CHARACTER < MIN_RSA_BITS:  # of which the library would warn
            return None
        named = {"kid": jwk["kid"]} if isinstance(jwk.get("kid"), str) else {}
        key = kind.import_key(public, named)  # type: ignore[arg-type]
    except (*_MALFORMED, AttributeError):
        return None
    if isinstance(key, RSAKey):
        numbers = key.public_key.public_numbers()
        is_fit = MIN_RSA_BITS <= numbers.n.bit_length() <= MAX_RSA_BITS and numbers.e <= _MAX_EXPONENT
    else:
        is_fit = key.curve_name in _CURVES
    return key if is_fit else None


def verify(token: str, keys: Sequence[SigningKey], expected: Expected, now: float) -> dict[str, Any]:
    """Return the claims of a token that was made for this sign-in; `now` is in seconds since 1970.

    Raises:
        UnknownKeyError: None of the keys signed it.
        SignInRefusedError: It is malformed, for another client or sign-in, from another issuer, too old, or not signed.
    """
    claims = _signed(token, keys)
    registry = jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=int(LEEWAY_SECONDS),
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        nonce={"essential": True, "value": expected.nonce},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(claims)
    except ClaimError as error:
        raise SignInRefusedError(
            f"the ID token is not for this sign-in, or the clocks differ: {error.description}"
        ) from error
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if (len(audiences) > 1 or claims.get("azp") is not None) and claims.get("azp") != expected.client_id:
        raise SignInRefusedError("the ID token was given to another client: azp")
    if not isinstance(claims["nonce"], str):  # the library takes one in a list
        raise SignInRefusedError("the ID token is of another sign-in: nonce")
    if len(claims["sub"]) > MAX_SUBJECT:
        raise SignInRefusedError("the ID token does not say whose it is: sub")
    return claims


def _signed(token: str, keys: Sequence[SigningKey]) -> dict[str, Any]:
    try:
        signed = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header = signed.headers()
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise SignInRefusedError(f"the ID token is signed with {str(algorithm)[:20]!r}, which is not accepted")
        if "crit" in header or "b64" in header:
            raise SignInRefusedError("the ID token has an extension that is not known")
        fitting = [key for key in keys if key_id is None or key.kid == key_id][:MAX_TRIED_KEYS]
        if not any(_is_signed_by(signed, key) for key in fitting):
            raise UnknownKeyError("no key of the provider signed the ID token")
        claims = msgspec.json.decode(signed.payload)
    except _MALFORMED as error:
        raise SignInRefusedError(f"the ID token is malformed: {type(error).__name__}") from error
    if not isinstance(claims, dict):
        raise SignInRefusedError("the ID token has no claims")
    return claims


def _is_signed_by(signed: jws.CompactSignature, key: SigningKey) -> bool:
    """Whether a key made the signature. One that is not for its algorithm did not."""
    try:
        return jws.validate_compact(signed, key, registry=_REGISTRY)
    except (JoseError, ValueError):
        return False
