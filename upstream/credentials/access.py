"""How a provider gets its credential: a key in a header, or an authorizer that signs requests or fetches tokens.

The way of each type of provider is in `upstream.providers.presets`. A way of its own (a signature, a token with an end) is an
`Authorizer`, made in `runtime.factories` and held by its provider.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from upstream.headers import Headers


class Credential(StrEnum):
    """What a provider expects. The first four are headers of a key, the next three are made by an authorizer."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    API_KEY = "api-key"
    AWS = "aws"
    GOOGLE = "google"
    AZURE = "azure"
    NONE = "none"


AUTHORIZED = frozenset({Credential.AWS, Credential.GOOGLE, Credential.AZURE})
"""Credentials that an authorizer makes where the provider has no key."""

_KEY_HEADERS = {
    Credential.X_API_KEY: "X-Api-Key",
    Credential.X_GOOG_API_KEY: "X-Goog-Api-Key",
    Credential.API_KEY: "Api-Key",
}


class Authorizer(Protocol):
    """Adds the bridge's credential to requests. It never blocks the event loop.

    `hint` identifies the credential; "" without one.
    """

    hint: str

    async def authorize(self, method: str, url: str, headers: Headers, body: bytes | bytearray) -> Headers:
        """The headers to add to a request, which must be sent exactly as given here.

        Raises:
            CredentialError: there is none. Its text is for the client.
        """


def credential_header(credential: Credential, key: str) -> tuple[str, str]:
    """The header in which a provider expects a key. Those that sign or fetch tokens take one as a bearer."""
    name = _KEY_HEADERS.get(credential)
    return (name, key) if name else ("Authorization", f"Bearer {key}")


LONG_SECRET = 20
"""Characters of a secret from which on its hint tells it from another one."""


def credential_hint(secret: str) -> str:
    """Enough of a secret to recognise it by, for records and logs; never enough to use it."""
    for shortest, visible in ((LONG_SECRET, 4), (10, 2), (5, 1)):
        if len(secret) >= shortest:
            return f"{secret[:visible]}...{secret[-visible:]}"
    return "..."
