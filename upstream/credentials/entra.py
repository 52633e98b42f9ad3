"""Tokens of Microsoft Entra for an application: by its secret, or by a token that its platform gives it. It blocks.

Sources: Microsoft identity platform, "OAuth 2.0 client credentials flow"; the environment variables are those of
azure-identity's `EnvironmentCredential` and `WorkloadIdentityCredential`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from time import time
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from msgspec import Struct

from intercept.formats.json_text import read_object

SCOPE: Final = "https://cognitiveservices.azure.com/.default"
AUTHORITY: Final = "https://login.microsoftonline.com"
ANSWER_SECONDS: Final = 15.0
"""How long the token endpoint may take."""
MAX_RESPONSE_BYTES: Final = 256 * 1024

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class EntraError(Exception):
    """There is no token. The text has the reason and no secret."""


class EntraApplication(Struct, frozen=True):
    """An application in a tenant, and how it proves itself: with `secret`, or with the token in `token_file`."""

    tenant: str
    client_id: str
    secret: str = ""
    token_file: str = ""
    authority: str = AUTHORITY

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> EntraApplication | None:
        """Find one in an environment; None where it has none, or a part of one."""
        get = environ.get
        tenant, client_id = get("AZURE_TENANT_ID", ""), get("AZURE_CLIENT_ID", "")
        secret, token_file = get("AZURE_CLIENT_SECRET", ""), get("AZURE_FEDERATED_TOKEN_FILE", "")
        if not (tenant and client_id and (secret or token_file)):
            return None
        authority = (get("AZURE_AUTHORITY_HOST") or AUTHORITY).rstrip("/")
        return cls(tenant, client_id, secret, token_file, authority if "://" in authority else f"https://{authority}")

    def __repr__(self) -> str:
        return f"EntraApplication({self.tenant!r}, {self.client_id!r})"

    def fetch(self) -> tuple[str, float]:
        """Fetch a token. Return it and its expiry, in seconds since the epoch.

        Raises:
            EntraError: There is none.
        """
        url = f"{self.authority}/{quote(self.tenant, safe='')}/oauth2/v2.0/token"
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise EntraError("AZURE_AUTHORITY_HOST must be an https address")
        body = urlencode(self._form()).encode()
        try:
            with urlopen(Request(url, body), timeout=ANSWER_SECONDS) as response:  # noqa: S310 - checked above
                return _read(response.read(MAX_RESPONSE_BYTES))
        except HTTPError as error:
            with error:
                raise EntraError(_refusal(error.code, error.read(MAX_RESPONSE_BYTES))) from None
        except URLError as error:
            raise EntraError(f"the token endpoint of Microsoft Entra cannot be reached: {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise EntraError(f"the token endpoint of Microsoft Entra did not answer: {error}") from error

    def _form(self) -> dict[str, str]:
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "scope": SCOPE}
        if self.secret:
            return form | {"client_secret": self.secret}
        try:
            assertion = Path(self.token_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise EntraError(f"AZURE_FEDERATED_TOKEN_FILE cannot be read: {error}") from error
        return form | {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}


def _read(body: bytes) -> tuple[str, float]:
    data = read_object(body)
    text, seconds = data.get("access_token"), str(data.get("expires_in"))  # old endpoints send a text
    try:
        lasts = float(seconds)
    except ValueError:
        lasts = 0.0
    if not isinstance(text, str) or not text or not text.isascii() or not 0 < lasts < float("inf"):
        raise EntraError("the token endpoint of Microsoft Entra sent no token")
    return text, time() + lasts


def _refusal(status: int, body: bytes) -> str:
    """Why there is no token: Microsoft's message without its numbers for support."""
    data = read_object(body)
    kind, words = (str(data.get(name) or "") for name in ("error", "error_description"))
    reason = words.partition("\n")[0].partition(" Trace ID:")[0].strip() or kind
    return (
        f"Microsoft Entra refused with status {status}: {reason[:300]}"
        if reason
        else f"it refused with status {status}"
    )
