"""Bearer tokens that end: fetched in a thread, ahead of their end, once for all requests that wait.

Google's come from google-auth, and Microsoft Entra's for a person or machine from azure-identity: both read files and ask other
servers, so they run in a thread. Both packages are optional, and imported there when they are first needed. Those of an Entra
application are requested here, by its secret or by a token that its platform gives it.

Sources: Microsoft identity platform, "OAuth 2.0 client credentials flow"; the environment variables are those of
azure-identity's `EnvironmentCredential` and `WorkloadIdentityCredential`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC
from http.client import HTTPException
from pathlib import Path
from time import time
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from msgspec import Struct

from intercept.formats.json_text import read_object
from upstream.client import CredentialError
from upstream.headers import Headers
from upstream.refreshed import Refreshed

# A token with less time left than this is renewed, in seconds; requests do not wait for that.
REFRESH_AHEAD_SECONDS = 300.0
# With less time left than this it is not used any more, in seconds: a request has to reach the provider before the end.
LEAST_SECONDS = 10.0
NO_TOKEN = "the bridge has no valid credential for it; its log says why"  # noqa: S105 - a sentence
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class BearerToken(NamedTuple):
    """A token, and when it ends, in seconds since the epoch."""

    text: str
    expires_at: float


class BearerAuthorizer:
    """Lets requests have a bearer token. Belongs to one event loop.

    `fetch` may block, and raise anything; `now` is in seconds since 1970.
    """

    hint = ""

    def __init__(self, fetch: Callable[[], BearerToken], now: Callable[[], float]) -> None:
        self._token = Refreshed(
            lambda: asyncio.get_running_loop().run_in_executor(None, fetch),
            now,
            lambda token, _: (token.expires_at - REFRESH_AHEAD_SECONDS, token.expires_at - LEAST_SECONDS),
            "no credential",
        )

    async def authorize(self, method: str, url: str, headers: Headers, body: bytes | bytearray) -> Headers:  # noqa: ARG002 - nothing is signed
        """The header with the token."""
        try:
            token = await self._token.get()
        except Exception as error:
            raise CredentialError(NO_TOKEN) from error
        return [("Authorization", f"Bearer {token.text}")]


def google_fetcher(account: Mapping[str, Any] | None) -> Callable[[], BearerToken]:
    """A function that fetches tokens with google-auth. It blocks, and caches the credentials.

    Args:
        account: The key of a service account, as Google gives it out in JSON. None looks where Google's own tools do:
            `GOOGLE_APPLICATION_CREDENTIALS` (a workload identity, too), gcloud, the metadata server.
    """
    found: list[Any] = []  # of google-auth, whose types are not known here

    def fetch() -> BearerToken:
        import google.auth  # noqa: PLC0415 - optional, and slow
        from google.auth.transport.requests import Request  # noqa: PLC0415
        from google.oauth2.service_account import Credentials  # noqa: PLC0415

        service_account: Any = Credentials
        if not found and account is not None:
            found.append(service_account.from_service_account_info(account, scopes=[_GOOGLE_SCOPE]))
        elif not found:
            found.append(google.auth.default(scopes=[_GOOGLE_SCOPE])[0])
        found[0].refresh(Request())
        return BearerToken(found[0].token, found[0].expiry.replace(tzinfo=UTC).timestamp())

    return fetch


def azure_fetcher(environ: Mapping[str, str]) -> Callable[[], BearerToken]:
    """What fetches tokens of Microsoft Entra.

    By the secret or the token of an application where the environment has one, see `EntraApplication`; else as
    azure-identity does: managed identity, `az` and more.
    """
    if (application := EntraApplication.of(environ)) is not None:
        return lambda: BearerToken(*application.fetch())
    found: list[Any] = []

    def fetch() -> BearerToken:
        from azure.identity import DefaultAzureCredential  # type: ignore[import-not-found]  # noqa: PLC0415 - optional

        if not found:
            found.append(DefaultAzureCredential())
        token = found[0].get_token(SCOPE)
        return BearerToken(token.token, token.expires_on)

    return fetch


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
