"""A sign-in that has begun: what binds the browser, the request, and the provider's response to one another. Pure.

Sources: RFC 6749 section 4.1, RFC 7636 (PKCE with S256), OpenID Connect Core 1.0 section 3.1.2, RFC 9207.

The browser keeps its flow in a cookie that no script reads, so any worker and any server can end what another one began.
Nothing in it is a secret from that browser: `state` and `nonce` bind the response to it, and `verifier` is of no use without
the code, which only that browser is given.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from secrets import token_urlsafe
from typing import Self
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from upstream.openid.documents import SignInRefusedError

FLOW_SECONDS = 600.0
"""How long a sign-in at the provider may take."""

LEEWAY_SECONDS = 60.0
"""By how much the clocks of the provider and of our other servers may differ from this one."""

MAX_FLOW = 2048
"""Characters of a flow in its cookie."""

MAX_PARAMETER = 4096
"""Characters of the provider's code, and of each other part of its response."""

_SECRET_BYTES = 32


class FlowEndedError(SignInRefusedError):
    """The response belongs to no sign-in that this browser began, or began lately."""


class CancelledError(SignInRefusedError):
    """The provider says that nobody signed in."""


class Flow(Struct, frozen=True):
    """What a browser keeps during a sign-in. `view` is the address behind the `#` to return to."""

    state: str
    nonce: str
    verifier: str
    view: str
    begun_at: int

    @classmethod
    def begin(cls, view: str, now: float) -> Self:
        """Begin a sign-in; `now` is in seconds since 1970."""
        state, nonce, verifier = (token_urlsafe(_SECRET_BYTES) for _ in range(3))
        return cls(state, nonce, verifier, view, int(now))

    def write(self) -> str:
        """Write it as a cookie has it."""
        return urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def read(cls, text: str | None, now: float) -> Self:
        """Read it.

        Raises:
            FlowEndedError: It is none, or too old.
        """
        if not text or len(text) > MAX_FLOW:
            raise FlowEndedError("the browser has begun no sign-in")
        try:
            flow = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise FlowEndedError("the browser has a sign-in that cannot be read") from error
        if not -LEEWAY_SECONDS <= now - flow.begun_at <= FLOW_SECONDS:
            raise FlowEndedError("the sign-in took too long")
        return flow

    def parameters(self, client_id: str, scopes: str, redirect_url: str) -> str:
        """The query that asks the provider to sign somebody in."""
        challenge = urlsafe_b64encode(sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        return urlencode(
            {
                "response_type": "code",
                "client_id": client_id,
                "redirect_uri": redirect_url,
                "scope": scopes,
                "state": self.state,
                "nonce": self.nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )

    def read_redirect(self, parameters: Mapping[str, str], issuer: str, *, names_issuer: bool) -> str:
        """Return the authorization code of the URL to which the provider redirected the browser.

        Args:
            parameters: Those of the URL, each once.
            issuer: The provider to which the browser was sent.
            names_issuer: Whether that provider names itself in each redirect (RFC 9207).

        Raises:
            FlowEndedError: It belongs to another sign-in.
            CancelledError: The person cancelled.
            SignInRefusedError: It is from another provider, or has no code.
        """
        state = parameters.get("state", "")
        if not hmac.compare_digest(state.encode(), self.state.encode()):
            raise FlowEndedError("the answer is that to another sign-in")
        if parameters.get("iss", "" if names_issuer else issuer) != issuer:
            raise SignInRefusedError("the answer is from another issuer")
        if error := parameters.get("error"):
            said = error if error.isascii() and error.replace("_", "").isalnum() else "an error"
            if said == "access_denied":
                raise CancelledError("the provider says access_denied")
            raise SignInRefusedError(f"the provider says {said[:80]}")
        code = parameters.get("code", "")
        if not 0 < len(code) <= MAX_PARAMETER:
            raise SignInRefusedError("the provider's answer has no code")
        return code
