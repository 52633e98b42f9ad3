"""Which headers cross the bridge, in both directions.

Sources: RFC 9110 section 7.6.1 (hop-by-hop), RFC 6797 and RFC 7838 (headers that speak of one origin's transport).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Headers = list[tuple[str, str]]

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
# The bridge's own, vendors' names for a key, and what AWS clients sign for the host that they call.
_CREDENTIALS = frozenset(
    {
        *("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-coder-ai-governance-token"),
        *("coder-session-token", "cookie", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256"),
    }
)
# Where a request came from and by which way, as proxies before the bridge add it (RFC 7239, RFC 9110 section 7.6.3).
_ORIGIN = frozenset(
    {
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "client-ip", "true-client-ip"),
        *("fastly-client-ip", "x-azure-clientip", "cdn-loop"),
    }
)
# They have some servers do another request than the one that was found to be allowed.
_OF_ANOTHER_REQUEST = frozenset({"x-http-method-override", "x-http-method", "x-method-override", "x-rewrite-url"})
# A part of a response does not tell what all of it used. Who is not asked for a part sends all (RFC 9110 section 14.2; the
# last is Google's, "System parameters").
_OF_A_PART = frozenset({"range", "if-range", "x-goog-fieldmask"})
_OF_THE_BRIDGE = frozenset({"host", "accept-encoding", "content-length", "expect"})
_NOT_TO_UPSTREAM = _HOP_BY_HOP | _CREDENTIALS | _ORIGIN | _OF_ANOTHER_REQUEST | _OF_A_PART | _OF_THE_BRIDGE
_FAMILIES_NOT_TO_UPSTREAM = (
    *("proxy-", "x-forwarded", "x-original-", "cf-", "fly-", "x-appengine-", "x-vercel-", "x-envoy-"),
    *("x-ai-bridge-", "x-aibridge-"),
)
# They choose who pays for a call, and with a foreign one the provider refuses the key (OpenAI's API reference; Google's
# system parameters).
BILLING = frozenset({"openai-organization", "openai-project", "x-goog-user-project"})
# A WebSocket's handshake is between two hops (RFC 6455 section 4); no compression is offered to the provider.
HANDSHAKE = frozenset(
    {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol", "origin"}
)
# Headers that a provider may send to clients, but not to browsers for the bridge's origin.
_OF_THE_ORIGIN = frozenset(
    {
        *("set-cookie", "set-cookie2", "alt-svc", "strict-transport-security", "clear-site-data", "refresh", "link"),
        *("service-worker-allowed", "x-content-type-options", "x-frame-options", "referrer-policy"),
        *("permissions-policy", "feature-policy", "expect-ct", "public-key-pins", "public-key-pins-report-only"),
        *("nel", "report-to", "reporting-endpoints", "sourcemap", "x-sourcemap", "accept-ch", "critical-ch"),
        *("speculation-rules", "origin-agent-cluster", "document-policy", "timing-allow-origin"),
        *("x-dns-prefetch-control", "x-xss-protection", "x-permitted-cross-domain-policies", "set-login"),
        *("activate-storage-access", "observe-browsing-topics"),
    }
)
_NOT_TO_CLIENT = _HOP_BY_HOP | _OF_THE_ORIGIN
# The last are orders to a proxy in front of the bridge, such as to answer with a file or another path (nginx, Apache,
# lighttpd, LiteSpeed, Perlbal).
_FAMILIES_NOT_TO_CLIENT = (
    *("proxy-", "access-control-", "cross-origin-", "content-security-policy", "attribution-reporting-"),
    *("x-ai-bridge-", "x-aibridge-"),
    *("x-accel-", "x-sendfile", "x-lighttpd-", "x-litespeed-", "x-reproxy-"),
)
# Names that end so are credentials, but for those that name something else, which providers need.
_ENDS_OF_CREDENTIALS = (
    *("key", "keys", "token", "tokens", "secret", "password", "passwd", "pwd", "credential", "credentials"),
    *("auth", "authorization", "assertion", "signature", "sig", "jwt", "bearer"),
)
_NO_CREDENTIALS = frozenset({"idempotency-key", "x-idempotency-key", "pagetoken", "page-token"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def to_upstream(
    headers: Iterable[tuple[str, str]],
    credentials: Headers,
    *,
    dropped: frozenset[str] = frozenset(),
    is_secret: Callable[[str], bool] = lambda _value: False,
) -> Headers:
    """The client's headers as they go upstream, with the `credentials` that the provider is to see in place of its own.

    No content coding is requested, so that the bytes that are read are the bytes that are relayed.

    Args:
        headers: What the client sent.
        credentials: Headers that are added.
        dropped: Lower-case names of further headers that stay here.
        is_secret: Whether a header with that value stays here.
    """
    rest = _without(_NOT_TO_UPSTREAM | dropped, _FAMILIES_NOT_TO_UPSTREAM, headers)
    return [*[header for header in rest if not is_secret(header[1])], ("Accept-Encoding", "identity"), *credentials]


def is_named_like_credential(name: str) -> bool:
    """Whether a header or a parameter of a query is named as credentials are, whoever takes it for one."""
    plain = name.lower().replace("_", "-")
    return plain.endswith(_ENDS_OF_CREDENTIALS) and plain not in _NO_CREDENTIALS


def to_client(headers: Iterable[tuple[str, str]], dropped: Iterable[str] = ()) -> Headers:
    """The upstream's headers as they reach the client. `Content-Length` stays: the body is the same bytes.

    `dropped` are the names of further headers that do not.

    Left out as well are values with characters that no header may have, which are read as they come (`upstream.response`).
    """
    rest = _without(_NOT_TO_CLIENT.union(map(str.lower, dropped)), _FAMILIES_NOT_TO_CLIENT, headers)
    return [header for header in rest if not _CONTROL.search(header[1])]


def request_head(method: str, target: str, host: str, headers: Headers, length: int | None) -> bytes:
    """The head of a request with a body of `length` bytes, as it is sent: what is given, in its order and its bytes.

    With no `length` the body is sent in chunks (RFC 9112 section 7.1).

    Texts stand for bytes as Latin-1 (RFC 9112 section 2.2). A length of 0 is told of methods that expect a body alone
    (RFC 9110 section 8.6).

    Raises:
        ValueError: there is a line end or NUL in it, or what is no Latin-1.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *[f"{name}: {value}" for name, value in headers]]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif length or method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {length}")
    head = "\r\n".join([*lines, "", ""])
    if not head.count("\r") == head.count("\n") == len(lines) + 1 or "\0" in head:
        raise ValueError("a line end or NUL within a line of a request's head")
    return head.encode("latin-1")


def _without(dropped: frozenset[str], families: tuple[str, ...], headers: Iterable[tuple[str, str]]) -> Headers:
    """Leave out `Connection`, what it names (RFC 9110 section 7.6.1), what is `dropped`, and what begins like a family.

    Names are compared as servers do that write an underscore for a hyphen.
    """
    rest: Headers = []
    options: list[str] = []
    for header in headers:
        name = header[0].lower().replace("_", "-")
        if name == "connection":
            options += header[1].split(",")
        elif name not in dropped and not name.startswith(families):
            rest.append(header)
    if not options:
        return rest
    named = {option.strip().lower() for option in options} - dropped
    return [header for header in rest if header[0].lower() not in named]
