"""Which of a request's credentials is the bridge's token, and which is the client's own for the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

GOVERNANCE_HEADER = "X-Coder-AI-Governance-Token"
SESSION_HEADER = "Coder-Session-Token"
SESSION_COOKIE = "coder_session_token"
# Also where it stands among others: Tornado joins headers that were sent twice.
_OUR_TOKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{10}-[A-Za-z0-9]{22}(?![A-Za-z0-9])")


@dataclass(frozen=True)
class Credentials:
    """What a request carries: `token` for the bridge, `own_key` for the provider (bring your own key).

    Neither is ever shown; None is what the client did not send.
    """

    token: str | None
    own_key: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(token={self.token is not None}, own_key={self.own_key is not None})"


def read_credentials(headers: Mapping[str, str], session_cookie: str | None) -> Credentials:
    """Find the token: governance header, session header, cookie, `Authorization: Bearer`, `X-Api-Key`, first wins.

    Beside a governance token, `Authorization` or `X-Api-Key` is the client's own provider credential, unless it looks
    like one of our tokens: those never go upstream.
    """
    bearer, api_key = _bearer(headers), _sent(headers, "X-Api-Key")
    if governance := _sent(headers, GOVERNANCE_HEADER):
        own = next((key for key in (bearer, api_key) if key and not _OUR_TOKEN.search(key)), None)
        return Credentials(governance, own)
    return Credentials(_sent(headers, SESSION_HEADER) or session_cookie or bearer or api_key or None)


def own_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The client's own provider credentials as it sent them, without any that is a token of ours."""
    own = []
    for name, secret in ("Authorization", _bearer(headers)), ("X-Api-Key", _sent(headers, "X-Api-Key")):
        if secret and not _OUR_TOKEN.search(secret):
            own.append((name, headers[name]))
    return own


def _sent(headers: Mapping[str, str], name: str) -> str:
    # Tornado tells by an exception what is missing, unless it is asked first; most of these are.
    return headers[name].strip() if name in headers else ""


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
