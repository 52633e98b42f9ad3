"""Requests of clients: `http1/requests.py`, and `h11` beside it."""

from __future__ import annotations

from collections.abc import Iterable

import h11

from http1.requests import MAX_HEAD_BYTES, MAX_HEADERS, MalformedRequestError, Requests
from tests.fuzz.targets import cut, single_bytes

SEEDS = [
    b"POST /a?b=c HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nGET /",
    b"\r\nGET http://c:80/d HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nHEAD /e HTTP/1.0\r\n\r\n",
    b"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\naCONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\ntunnel",
]
WORDS = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"Content-Length: 3\r\n",
    b"Content-Length: +3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"3;a=b\r\n",
    b"\n0\r\n\r\n",
    b"7\r\n\n0\r\n\r\n0\r\n",
    b"0;a\r\n\r\n",
    b"\0",
    b"http://",
    b"GET ",
    b"POST ",
]

Read = tuple[str, str, bytes, bool]
"""Method, target, body, and whether that is whole."""


def read(parts: Iterable[bytes]) -> tuple[list[Read], int | None]:
    """Read requests as a connection does, each answered as soon as it is whole; return them and the status of a refusal."""
    reader, found = Requests(), []
    body = bytearray()

    def read_buffered() -> None:
        while (request := reader.request) is not None:
            body.extend(request.read_buffered())
            if not request.whole or not request.keeps_connection:
                return
            found.append((request.start_line.method, request.start_line.path, bytes(body), True))
            body.clear()
            reader.next()

    status = None
    try:
        for part in parts:
            try:
                reader.feed(part)
            finally:
                read_buffered()
            assert reader.head_bytes <= MAX_HEAD_BYTES
            assert reader.request is None or len(reader.request.headers) <= MAX_HEADERS
    except MalformedRequestError as error:
        status = error.status
    if (request := reader.request) is not None:
        body.extend(request.read_buffered())
        found.append((request.start_line.method, request.start_line.path, bytes(body), request.whole))
    return found, status


def read_by_h11(data: bytes) -> list[Read]:
    """Read requests with h11, until it refuses one."""
    connection, found = h11.Connection(h11.SERVER), []
    connection.receive_data(data)
    request, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                found.append((request.method.decode(), request.target.decode("latin-1"), body, True))
                request = None
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return found
                connection.start_next_cycle()
            else:
                break
    except h11.ProtocolError:
        pass
    if request is not None:
        found.append((request.method.decode(), request.target.decode("latin-1"), body, False))
    return found


def check(data: bytes) -> None:
    """The same requests come of the same bytes, however they are cut; and what h11 reads too, it reads in the same way.

    Of bytes in one part only the first request is read: whoever does not wait for a response gets no other one.
    """
    pieces = read(single_bytes(data))
    for parts in ([data], cut(data)):
        found, status = read(parts)
        assert found == pieces[0][: len(found)], (found, pieces)
        assert status == pieces[1] or (found and found[-1][3]), (status, pieces)
    for ours, theirs in zip(pieces[0], read_by_h11(data), strict=False):
        if not (ours[3] and theirs[3]) or not theirs[1].startswith("/"):
            break  # the one or the other refused it, or the target is written in another way
        assert ours == theirs, (ours, theirs)
