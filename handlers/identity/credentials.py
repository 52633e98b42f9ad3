"""Who sends a request: its credentials, of the bridge or of the client for the provider, its address, and its page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote, unquote_plus

from tornado.httputil import HTTPServerRequest

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


# `192.0.2.1:4711`, and `[2001:db8::1]` with and without a port, in the forms of RFC 7239, section 6.
_PORT = re.compile(r"\A(?:\[(.+)\]|([^:]+))(?::[0-9]+)?\Z")


def client_address(peer: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The nearest address that is not a trusted proxy, walking `X-Forwarded-For` from its end.

    `peer` is the address of the connection. A port behind an address, as some gateways add it, is left out. Text that is
    not an address ends the walk: everything before it is untrusted.
    """
    address = peer
    hops = [_PORT.sub(r"\1\2", hop.strip()) for hop in forwarded_for.split(",")] if forwarded_for else []
    while is_trusted(address, trusted) and hops:
        hop = hops.pop()
        if not _is_address(hop):
            break
        address = hop
    return address


def scheme_of(request: HTTPServerRequest, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """How the client reached the bridge, or the nearest proxy, which has to be trusted to say so in `X-Forwarded-Proto`."""
    if request.protocol == "https":
        return "https"
    said = ",".join(request.headers.get_list("X-Forwarded-Proto")).rpartition(",")[2].strip().lower()
    return "https" if said == "https" and is_trusted(request.remote_ip or "", trusted) else "http"


def is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is that of a proxy that is believed."""
    if not trusted or not _is_address(address):
        return False
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None  # as sockets for both versions have it
    both = [one for one in (parsed, mapped) if one is not None]
    return any(one in network for network in trusted for one in both if one.version == network.version)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# `none` is what the user did: typed the address, or opened a bookmark.
_OWN = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def is_foreign(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a page of another origin sent the request. A request without these headers counts as a program's.

    Sources: Fetch Metadata (`Sec-Fetch-Site`), which browsers send over TLS and to loopback and no page can change; and
    RFC 6454 (`Origin`), which comes with every POST and DELETE. `SameSite` alone would let other ports of the host in.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    origin = headers.get("Origin")
    # Compared as text: browsers write it in one form, and anything unreadable is foreign.
    return origin is not None and origin.lower() != _origin(scheme, headers.get("Host", ""))


def _origin(scheme: str, host: str) -> str:
    """Write an origin as browsers do: in lower case, and without the port that goes without saying."""
    return f"{scheme}://{host.lower().removesuffix(_DEFAULT_PORTS[scheme])}"
