"""Which of a request's credentials is the bridge's token, and which is the client's own for the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus

GOVERNANCE_HEADER = "X-Coder-AI-Governance-Token"
SESSION_HEADER = "Coder-Session-Token"
SESSION_COOKIE = "aibridge_session"
# Over TLS. No other host and no page without TLS can set a cookie of such a name (RFC 6265bis, section 4.1.3.2).
HOST_SESSION_COOKIE = f"__Host-{SESSION_COOKIE}"
FLOW_COOKIE = "aibridge_sign_in"
HOST_FLOW_COOKIE = f"__Host-{FLOW_COOKIE}"
# Headers for a key, in the order in which they are read: those of Anthropic, Azure and Google.
KEY_HEADERS = ("X-Api-Key", "Api-Key", "X-Goog-Api-Key")
# How browsers give OpenAI a key, as they can set no header of a WebSocket: as one of the subprotocols that they offer.
PROTOCOL_HEADER = "Sec-WebSocket-Protocol"
_KEY_PROTOCOL = "openai-insecure-api-key."
_BILLING_PROTOCOLS = ("openai-organization.", "openai-project.")
# Also where it stands among others: Tornado joins headers that were sent twice.
_OUR_TOKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{10}-[A-Za-z0-9]{22}(?![A-Za-z0-9])")
_TOKEN_CHARACTERS = 33
# How often a text may be percent-encoded for a token in it still to be seen.
_ENCODINGS = 2
_PROVIDER_KEY = re.compile(r"(?:sk|pk|rk|gsk|csk|xai|pplx|nvapi|hf)[-_]|AIza|AQ\.|AKIA|ABSK|bedrock-api-key-")


@dataclass(frozen=True)
class Credentials:
    """What a request carries: `token` or `session` for the bridge, `own_key` for the provider (bring your own key).

    None of them is ever logged or recorded. None means that the client did not send it. `sent` are all values of
    headers that may be a credential, whether it was used or not; empty ones among them.
    """

    token: str | None
    own_key: str | None = None
    session: str | None = None
    sent: tuple[str, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        sent = (f"{name}={getattr(self, name) is not None}" for name in ("token", "own_key", "session"))
        return f"Credentials({', '.join(sent)})"


def read_credentials(headers: Mapping[str, str], session_cookie: str | None = None, query_key: str = "") -> Credentials:
    """Find the token or session: governance header, session header, cookie, `Authorization: Bearer`, `KEY_HEADERS`, first wins.

    `query_key` is one from the query or from a subprotocol, where some clients have to put theirs; it comes last.
    Beside a governance token, the others are the client's own provider credential, unless they look like one of our
    tokens: those never go upstream.
    """
    given = (_bearer(headers), *[headers[name].strip() for name in KEY_HEADERS if name in headers], query_key)
    if governance := _sent(headers, GOVERNANCE_HEADER):
        own = next((secret for secret in given if secret and not holds_token(secret)), None)
        return Credentials(governance, own, sent=(governance, *given))
    if (header := _sent(headers, SESSION_HEADER)) or not session_cookie:
        token = header or next(filter(None, given), None)
        return Credentials(token, sent=(header, *given))
    return Credentials(None, session=session_cookie, sent=given)


def read_query_key(query: str) -> str:
    """The first parameter `key` of a query; "" if there is none."""
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        if unquote_plus(name) == "key":
            return unquote_plus(value).strip()
    return ""


def read_protocol_key(headers: Mapping[str, str]) -> str:
    """The key among the subprotocols that a WebSocket's client offers; "" if there is none."""
    offered = _protocols(headers[PROTOCOL_HEADER]) if PROTOCOL_HEADER in headers else []
    return next((one.removeprefix(_KEY_PROTOCOL) for one in offered if one.startswith(_KEY_PROTOCOL)), "")


def upstream_protocols(offered: str, *, keeps_billing: bool) -> str:
    """The subprotocols that go to the provider: no keys, nothing like our tokens, and who pays only if that is kept."""
    dropped = (_KEY_PROTOCOL,) if keeps_billing else (_KEY_PROTOCOL, *_BILLING_PROTOCOLS)
    return ", ".join(one for one in _protocols(offered) if not one.startswith(dropped) and not hides_token(one))


def _protocols(offered: str) -> list[str]:
    return [one.strip() for one in offered.split(",") if one.strip()]


def own_headers(headers: Mapping[str, str], query_key: str = "", protocol_key: str = "") -> list[tuple[str, str]]:
    """The client's own provider credentials as it sent them, without any that is a token of ours.

    One in the query or in a subprotocol goes as the header that stands for it: an address is seen by more than its receiver.
    """
    own = []
    for name in ("Authorization", *KEY_HEADERS):
        secret = _bearer(headers) if name == "Authorization" else _sent(headers, name)
        if secret and not holds_token(secret):
            own.append((name, headers[name]))
    if query_key and not holds_token(query_key) and not own:
        own.append(("X-Goog-Api-Key", query_key))
    if protocol_key and not holds_token(protocol_key) and not own:
        own.append(("Authorization", f"Bearer {protocol_key}"))
    return own


def secrets_of(credentials: Credentials) -> list[str]:
    """What a request carries that must not be recorded: provider credentials, and of tokens of ours the secret half."""
    return [
        secret.partition("-")[2] if _OUR_TOKEN.fullmatch(secret) else secret for secret in credentials.sent if secret
    ]


def holds_token(text: str) -> bool:
    """Whether a text has something of the form of our tokens in it."""
    return len(text) >= _TOKEN_CHARACTERS and "-" in text and _OUR_TOKEN.search(text) is not None


def hides_token(target: str) -> bool:
    """Whether a path or a query has something of the form of our tokens in it, percent-encoded or not."""
    for _ in range(_ENCODINGS):
        if holds_token(target):
            return True
        if "%" not in target:
            return False
        target = unquote(target)
    return holds_token(target)


def looks_like_provider_key(secret: str) -> bool:
    """Whether a token begins like a key of a vendor, such as `sk-ant-`."""
    return _PROVIDER_KEY.match(secret) is not None


def _sent(headers: Mapping[str, str], name: str) -> str:
    # Tornado raises an exception for a missing one, which is slow; most are missing.
    return headers[name].strip() if name in headers else ""


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
