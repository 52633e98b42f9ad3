"""A provider's answers, as HTTP: `upstream/response.py`."""

from __future__ import annotations

from httptools import HttpParserError

from tests.fuzz.targets import cut, single_bytes
from upstream.response import MAX_HEADER_LINE_BYTES, MAX_HEADERS, Response

_METHODS = ("POST", "HEAD")

SEEDS = [
    bytes([0]) + response
    for response in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
        b"HTTP/1.0 500 \nConnection: keep-alive\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    )
]
WORDS = [
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.0 204\r\n", b"\r\n\r\n", b"\r\n", b"\n", b"\r\n "),
    *(b"Content-Length: ", b"Transfer-Encoding: ", b"chunked", b"gzip, chunked", b"Connection: close", b"keep-alive"),
    *(b"Upgrade: h2c", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"1;\r\n", b"\0"),
]


def check(data: bytes) -> None:
    """A response means the same wherever it is cut, and what is held of it is bounded."""
    method, data = _METHODS[data[0] % 2 if data else 0], data[1:]
    whole = _outcome(method, [data])
    assert _outcome(method, cut(data)) == whole
    assert _outcome(method, single_bytes(data)) == whole


def _outcome(method: str, pieces: list[bytes]) -> object:
    response = Response(method)
    body = b""
    try:
        for piece in pieces:
            if response.whole:
                break
            response.feed(piece)
            body += response.read_buffered()
            assert response.size == 0
            assert len(response.headers) <= MAX_HEADERS
            assert len(response._reason) <= MAX_HEADER_LINE_BYTES
    except HttpParserError:
        return "refused"
    finally:
        response.release_parser()
    response.end()
    return (
        (response.status, response.reason, response.headers, body, response.whole) if response.has_head else "no head"
    )
