"""How a provider is let have its credential: as a header of a key, or by an authorizer that signs or fetches a token.

Which way a type of provider takes is in `upstream.presets`. A way of its own (a signature, a token with an end) is an
`Authorizer`, made in `runtime.parts` and held by its provider.
"""

from __future__ import annotations

from collections.abc import Callable
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

INSTALL_GOOGLE = "pip install -r requirements-google.lock"
INSTALL_AZURE = "pip install azure-identity"
"""What to do where the packages for a credential are missing."""

_KEY_HEADERS = {
    Credential.X_API_KEY: "X-Api-Key",
    Credential.X_GOOG_API_KEY: "X-Goog-Api-Key",
    Credential.API_KEY: "Api-Key",
}


class Authorizer(Protocol):
    """Lets one request after the other have the bridge's credential. It never blocks the event loop.

    `hint` is enough of the credential to recognise it by; "" while there is none.
    """

    hint: str

    async def authorize(self, method: str, url: str, headers: Headers, body: bytes | bytearray) -> Headers:
        """The headers to add to a request that is sent as it is given here.

        Raises:
            CredentialError: there is none. Its text is meant for the client.
        """

    def explain(self, status: int, header: Callable[[str], str]) -> str:
        """What is behind a refusal of the provider and is not in its words; "" where nothing is known.

        Args:
            status: Of the response.
            header: Gives a header of the response, "" where there is none.
        """


def credential_header(credential: Credential, key: str) -> tuple[str, str]:
    """The header in which a provider expects a key. Those that sign or fetch tokens take one as a bearer."""
    name = _KEY_HEADERS.get(credential)
    return (name, key) if name else ("Authorization", f"Bearer {key}")


def credential_hint(secret: str) -> str:
    """Enough of a secret to recognise it by, for records and logs; never enough to use it."""
    for shortest, visible in ((20, 4), (10, 2), (5, 1)):
        if len(secret) >= shortest:
            return f"{secret[:visible]}...{secret[-visible:]}"
    return "..."
