"""Keys and ID tokens as a provider makes them, and as an attacker would."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

ISSUER, CLIENT, NONCE, NOW = "https://id.example", "ai-bridge", "n-0S6_WzA2Mj", 1_800_000_000.0
CLAIMS = {"iss": ISSUER, "aud": CLIENT, "nonce": NONCE, "sub": "248289761001", "exp": NOW + 300, "iat": NOW}


def private_key(kind: str = "RSA", number: int = 0) -> Any:
    """A private key; another one for each number."""
    return _made(kind, number)


@cache
def _made(kind: str, number: int) -> Any:
    match kind:
        case "EC":
            return ECKey.import_key(ec.generate_private_key(ec.SECP256R1()), {"kid": f"ec-{number}"})
        case "OKP":
            return OKPKey.import_key(ed25519.Ed25519PrivateKey.generate(), {"kid": f"okp-{number}"})
    return RSAKey.import_key(rsa.generate_private_key(65537, 2048), {"kid": f"rsa-{number}"})


def published(*keys: Any, **more: Any) -> bytes:
    """The set of keys that a provider shows."""
    return json.dumps({"keys": [key.as_dict(private=False) | more for key in keys]}).encode()


def signed(claims: Any = None, *, alg: str = "RS256", key: Any = None, **header: Any) -> str:
    """An ID token of these claims."""
    key = key or private_key()
    payload = json.dumps(CLAIMS if claims is None else claims).encode()
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    protected = {name: value for name, value in ({"alg": alg, "kid": key.kid} | header).items() if value is not None}
    return jws.serialize_compact(protected, payload, key, registry=registry)


def by_hand(header: dict[str, Any], claims: Any, signature: bytes = b"") -> str:
    """A token that no library would make."""
    parts = json.dumps(header).encode(), json.dumps(claims).encode(), signature
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def hmac_with(public: bytes, claims: Any) -> str:
    """A token that is signed with a public key as if that were a shared secret."""
    unsigned = by_hand({"alg": "HS256", "kid": "rsa-0"}, claims).rpartition(".")[0]
    signature = hmac.digest(public, unsigned.encode(), "sha256")
    return f"{unsigned}.{urlsafe_b64encode(signature).decode().rstrip('=')}"
