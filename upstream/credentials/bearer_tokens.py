"""Bearer tokens that end: fetched in a thread, ahead of their end, once for all requests that wait.

Google's come from google-auth, and Microsoft Entra's from azure-identity: both read files and ask other servers, so they
run in a thread. Both packages are optional, and imported there when they are first needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, NamedTuple

from upstream.client import CredentialError
from upstream.credentials.entra import SCOPE, EntraApplication
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

    def explain(self, status: int, header: Callable[[str], str]) -> str:  # noqa: ARG002 - nothing is known
        """Nothing: the provider's own words about a token are enough."""
        return ""


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

    By the secret or the token of an application where the environment has one, see `upstream.credentials.entra`; else as
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
