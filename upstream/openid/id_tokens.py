"""ID tokens: who made them, for whom, and what they claim. Pure.

Sources: OpenID Connect Core 1.0 section 3.1.3.7, RFC 7515 (signatures), RFC 8725 (best practice for tokens).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from msgspec import Struct

from upstream.openid.errors import SignInRefusedError, UnknownKeyError
from upstream.openid.flows import LEEWAY_SECONDS
from upstream.openid.keys import SigningKey

ALGORITHMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **{f"{family}{bits}": ("RSA", "") for family in ("RS", "PS") for bits in (256, 384, 512)},
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        "Ed25519": ("OKP", "Ed25519"),
    }
)
"""What may sign, with the key that it takes: its type, and its curve. Neither `none`, nor what takes a shared secret."""

MAX_TRIED_KEYS = 10
"""Keys that are tried for a token that does not say which one it takes."""

MAX_SUBJECT = 255
"""Characters of a subject (OpenID Connect Core 1.0 section 2)."""

_FOREVER = 2**53
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
_REGISTRY.max_header_length = 8192


class Expected(Struct, frozen=True):
    """What an ID token has to say."""

    issuer: str
    client_id: str
    nonce: str


def verify(token: str, keys: Sequence[SigningKey], expected: Expected, now: float) -> dict[str, Any]:
    """Return the claims of a token that was made for this sign-in; `now` is in seconds since 1970.

    Raises:
        UnknownKeyError: None of the keys signed it.
        SignInRefusedError: It is malformed, for another client or sign-in, from another issuer, too old, or not signed.
    """
    claims = _signed(token, keys)
    _check(claims, expected, now)
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
        kty, curve = ALGORITHMS[algorithm]
        fitting = [key for key in keys if key.kty == kty and curve in {"", key.curve}]
        fitting = [key for key in fitting if key_id is None or key.id == key_id][:MAX_TRIED_KEYS]
        if not any(jws.validate_compact(signed, one.key, registry=_REGISTRY) for one in fitting):
            raise UnknownKeyError("no key of the provider signed the ID token")
        claims = msgspec.json.decode(signed.payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise SignInRefusedError(f"the ID token is malformed: {type(error).__name__}") from error
    if not isinstance(claims, dict):
        raise SignInRefusedError("the ID token has no claims")
    return claims


def _check(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    if claims.get("iss") != expected.issuer:
        raise SignInRefusedError("the ID token is from another issuer")
    audience, party = claims.get("aud"), claims.get("azp")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in audiences:
        raise SignInRefusedError("the ID token is for another client")
    if (len(audiences) > 1 or party is not None) and party != expected.client_id:
        raise SignInRefusedError("the ID token was given to another client")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise SignInRefusedError("the ID token is of another sign-in")
    expires, issued, begins = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None:
        raise SignInRefusedError("the ID token does not say when it was made and when it expires")
    if now >= expires + LEEWAY_SECONDS:
        raise SignInRefusedError("the ID token has expired, or the clocks differ")
    if max(issued, begins or 0) > now + LEEWAY_SECONDS:
        raise SignInRefusedError("the ID token is not valid yet, or the clocks differ")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise SignInRefusedError("the ID token does not say whose it is")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SignInRefusedError(f"the ID token has a time that is none: {name}")
    return float(min(max(value, -_FOREVER), _FOREVER))  # an integer may be too large to be a float
