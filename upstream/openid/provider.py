"""An OpenID provider: where it sends browsers to sign in, and who it says came back."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote_plus, urlencode

import msgspec
from msgspec import Struct, structs

from intercept.formats.json_text import as_text, read_object
from upstream.client import UpstreamClient, UpstreamError
from upstream.connections.network import Network
from upstream.headers import Headers
from upstream.openid.documents import (
    ProviderMetadata,
    ProviderUnavailableError,
    SignInRefusedError,
    UnknownKeyError,
    read_metadata,
)
from upstream.openid.flows import Flow
from upstream.openid.id_tokens import Expected, SigningKey, read_keys, verify
from upstream.openid.profiles import Profile, Rules, find_claim, read_profile
from upstream.refreshed import Refreshed

ANSWER_SECONDS = 10.0
"""How long the provider may take for one response."""

MAX_DOCUMENT_BYTES = 256 * 1024
"""Largest response of a provider that is read."""

FRESH_SECONDS = 3600.0
"""How long a document is used before it is fetched again."""

STALE_SECONDS = 86_400.0
"""How long it is used while it cannot be fetched."""

RENEWAL_SECONDS = 60.0
"""How often the keys are fetched before they are old, because one is not among them."""

_DISCOVERY = "/.well-known/openid-configuration"
_OK = 200


class OpenIDClient(Struct, frozen=True):
    """What the bridge is to the provider; without a secret a public client."""

    issuer: str
    id: str
    secret: str = ""
    scopes: str = "openid profile email"

    def __repr__(self) -> str:
        return f"OpenIDClient({self.issuer!r}, {self.id!r})"


class _Tokens(Struct):
    """What the token endpoint answers (OpenID Connect Core 1.0 section 3.1.3.3)."""

    id_token: str
    access_token: str = ""


class OpenIDProvider:
    """The provider that signs people in. Belongs to one event loop.

    What needs its discovery document raises `ProviderUnavailableError` while that cannot be read. `time` is in seconds
    since 1970.
    """

    def __init__(
        self,
        client: OpenIDClient,
        rules: Rules,
        http: UpstreamClient,
        *,
        network_of: Callable[[str], Network],
        time: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._rules = rules
        self._http = http
        self._network_of = network_of
        self._time = time
        self._metadata = Refreshed(self._fetch_metadata, monotonic, _lasts)
        self._keys = Refreshed(self._fetch_keys, monotonic, _lasts)

    async def begin(self, view: str, redirect_url: str) -> tuple[Flow, str]:
        """Begin a sign-in: return the state for the browser, and the URL for its redirect."""
        endpoint = (await self._metadata.get()).authorization_endpoint
        flow = Flow.begin(view, self._time())
        query = flow.parameters(self._client.id, self._client.scopes, redirect_url)
        return flow, f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def read_flow(self, text: str | None) -> Flow:
        """Read what a browser kept.

        Raises:
            FlowEndedError: It is not what one keeps, or too old.
        """
        return Flow.read(text, self._time())

    async def finish(self, flow: Flow, parameters: Mapping[str, str], redirect_url: str) -> Profile:
        """Finish a sign-in with the parameters of the redirect; return the person.

        Raises:
            ProviderUnavailableError: The provider is unavailable.
            SignInRefusedError: Nobody signed in.
            NotAllowedError: The person may not sign in here.
        """
        metadata, issuer = await self._metadata.get(), self._client.issuer
        names_issuer = metadata.authorization_response_iss_parameter_supported
        code = flow.read_redirect(parameters, issuer, names_issuer=names_issuer)
        tokens = await self._redeem(metadata, code, flow.verifier, redirect_url)
        claims = await self._verify(tokens.id_token, Expected(issuer, self._client.id, flow.nonce))
        lacking = [name for name in self._rules.claims if find_claim(claims, name) is None]
        if metadata.userinfo_endpoint and tokens.access_token and lacking:
            info = await self._read_userinfo(metadata.userinfo_endpoint, tokens.access_token, claims["sub"])
            # By their whole names, so that an empty `realm_access` of the token does not hide the roles of this one.
            info |= {name: find_claim(info, name) for name in lacking}
            claims |= {name: value for name, value in info.items() if claims.get(name) is None}
        return structs.replace(read_profile(claims, self._rules), id_token=tokens.id_token)

    async def sign_out_url(self, id_token: str, back: str) -> str | None:
        """Where a browser is signed out of the provider as well (OpenID Connect RP-Initiated Logout 1.0); None where it is not.

        Args:
            id_token: Of the sign-in, by which the provider knows who it was.
            back: Where the provider sends the browser afterwards.
        """
        endpoint = (await self._metadata.get()).end_session_endpoint
        if endpoint is None:
            return None
        parameters = {"id_token_hint": id_token, "client_id": self._client.id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    async def _verify(self, token: str, expected: Expected) -> dict[str, Any]:
        keys = await self._keys.get()
        try:
            return verify(token, keys, expected, self._time())
        except UnknownKeyError:
            renewed = await self._keys.renewed(RENEWAL_SECONDS)
            if renewed is keys:
                raise
            return verify(token, renewed, expected, self._time())

    async def _redeem(self, metadata: ProviderMetadata, code: str, verifier: str, redirect_url: str) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_url,
            "code_verifier": verifier,
        }
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        client = self._client
        if client.secret and metadata.takes_basic:  # each half is encoded first (RFC 6749 section 2.3.1)
            pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
            headers.append(("Authorization", f"Basic {b64encode(pair.encode()).decode()}"))
        else:
            form |= {"client_id": client.id} | ({"client_secret": client.secret} if client.secret else {})
        status, body = await self._request("POST", metadata.token_endpoint, headers, urlencode(form).encode())
        if status != _OK:
            raise SignInRefusedError(f"the token endpoint answers {status}: {_error_of(body)}")
        try:
            return msgspec.json.decode(body, type=_Tokens)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SignInRefusedError("the token endpoint answers without an ID token") from error

    async def _read_userinfo(self, url: str, access_token: str, subject: str) -> dict[str, Any]:
        """The claims that the ID token leaves out (OpenID Connect Core 1.0 section 5.3)."""
        if not access_token.isascii() or not access_token.isprintable():
            raise SignInRefusedError("the access token cannot be used")
        status, body = await self._request("GET", url, [("Authorization", f"Bearer {access_token}")])
        try:
            claims = msgspec.json.decode(body) if status == _OK else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            claims = None
        if not isinstance(claims, dict):
            raise SignInRefusedError(f"the userinfo endpoint answers {status}, without claims in JSON")
        if claims.get("sub") != subject:
            raise SignInRefusedError("the userinfo endpoint answers with the claims of somebody else")
        return claims

    async def _fetch_metadata(self) -> ProviderMetadata:
        body = await self._fetch(self._client.issuer.rstrip("/") + _DISCOVERY, "the discovery document")
        return read_metadata(body, self._client.issuer)

    async def _fetch_keys(self) -> tuple[SigningKey, ...]:
        return read_keys(await self._fetch((await self._metadata.get()).jwks_uri, "the keys"))

    async def _fetch(self, url: str, what: str) -> bytes:
        status, body = await self._request("GET", url)
        if status != _OK:
            raise ProviderUnavailableError(f"{what} cannot be fetched: the provider answers {status}")
        return body

    async def _request(self, method: str, url: str, headers: Headers = (), body: bytes = b"") -> tuple[int, bytes]:  # type: ignore[assignment]
        """Send a request to the provider. Redirects are not followed."""
        sent = [("Accept", "application/json"), ("Accept-Encoding", "identity"), *headers]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                with closing(await self._http.open(method, url, sent, body, network=self._network_of(url))) as response:
                    received = await response.peek(MAX_DOCUMENT_BYTES + 1)
                    whole = len(received) <= MAX_DOCUMENT_BYTES and await response.stream_to(lambda _: True)
        except TimeoutError as error:
            raise ProviderUnavailableError(f"the provider did not answer within {ANSWER_SECONDS:.0f} s") from error
        except UpstreamError as error:
            raise ProviderUnavailableError(str(error)) from error
        if not whole:
            raise ProviderUnavailableError(f"the provider answers with more than {MAX_DOCUMENT_BYTES} bytes")
        return response.status, received


def _lasts(_: object, now: float) -> tuple[float, float]:
    return now + FRESH_SECONDS, now + STALE_SECONDS


def _error_of(body: bytes) -> str:
    """The code of an error of OAuth (RFC 6749 section 5.2), if it is one; its description may say too much."""
    error = as_text(read_object(body).get("error"))
    said = error if error.isascii() and error.replace("_", "").isalnum() else ""
    return said[:80] or "no reason"
