"""Which headers cross the bridge, in both directions.

Sources: RFC 9110 section 7.6.1 (hop-by-hop), RFC 6797 and RFC 7838 (headers that speak of one origin's transport).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Headers = list[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"},
)
_CREDENTIALS = frozenset({"authorization", "x-api-key", "x-coder-ai-governance-token", "coder-session-token", "cookie"})
_NOT_TO_UPSTREAM = _HOP_BY_HOP | _CREDENTIALS | {"host", "accept-encoding", "content-length", "expect"}
# They choose who pays for a call, and with a foreign one the provider refuses the key (OpenAI's API reference).
BILLING = frozenset({"openai-organization", "openai-project"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_TO_CLIENT = _HOP_BY_HOP | {"set-cookie", "set-cookie2", "alt-svc", "strict-transport-security"}


def to_upstream(
    headers: Iterable[tuple[str, str]], credentials: Headers, dropped: frozenset[str] = frozenset()
) -> Headers:
    """The client's headers as they go upstream, with the `credentials` that the provider is to see in place of its own.

    `dropped` are the lower-case names of further headers that stay here.

    No content coding is asked for, so that the bytes that are read are the bytes that are relayed.
    """
    return [*_without(_NOT_TO_UPSTREAM | dropped, headers), ("Accept-Encoding", "identity"), *credentials]


def to_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """The upstream's headers as they reach the client. `Content-Length` stays: the body is the same bytes.

    Left out as well are values with characters that no header may have, which are read as they come (`upstream.answer`).
    """
    return [header for header in _without(_NOT_TO_CLIENT, headers) if not _CONTROL.search(header[1])]


def request_head(method: str, target: str, host: str, headers: Headers, length: int) -> bytes:
    """The head of a request with a body of `length` bytes, as it is sent: what is given, in its order and its bytes.

    Texts stand for bytes as Latin-1 (RFC 9112 section 2.2). A length of 0 is told of methods that expect a body alone
    (RFC 9110 section 8.6).

    Raises:
        ValueError: there is a line end or NUL in it, or what is no Latin-1.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *[f"{name}: {value}" for name, value in headers]]
    if length or method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {length}")
    head = "\r\n".join([*lines, "", ""])
    if not head.count("\r") == head.count("\n") == len(lines) + 1 or "\0" in head:
        raise ValueError("a line end or NUL within a line of a request's head")
    return head.encode("latin-1")


def _without(dropped: frozenset[str], headers: Iterable[tuple[str, str]]) -> Headers:
    """Leave out `Connection`, what it names (RFC 9110 section 7.6.1), and what is `dropped`."""
    kept: Headers = []
    options: list[str] = []
    for header in headers:
        name = header[0].lower()
        if name == "connection":
            options += header[1].split(",")
        elif name not in dropped and name[:6] != "proxy-":
            kept.append(header)
    named = {option.strip().lower() for option in options} - dropped
    return [header for header in kept if header[0].lower() not in named] if named else kept
