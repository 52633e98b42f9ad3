from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http1.requests import MAX_HEAD_BYTES, TOO_LARGE, InvalidRequestError, Requests

HOST = b"Host: b\r\n"
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=20)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
TARGETS = st.text("abc/?=&%20;:@-._~", max_size=40).map("/{}".format)
FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade", "expect"}
HEADERS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in FRAMING), VALUES), max_size=6)


@st.composite
def requests(draw):
    """A request in bytes, and what it says."""
    method, target, headers = draw(st.sampled_from(["GET", "POST", "DELETE"])), draw(TARGETS), draw(HEADERS)
    pieces = draw(st.lists(st.binary(min_size=1, max_size=50), max_size=4))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if draw(st.booleans()):
        framed = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    else:
        framed = b"".join(pieces)
        lines.append(f"Content-Length: {len(framed)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + framed, (method, target, headers, b"".join(pieces))


def all_of(reader, bodies):
    """What a reader has by now: everything of whole requests; `bodies` has what came of each before."""
    for request in reader.waiting:
        bodies.setdefault(id(request), (request, []))[1].append(request.take())


def said(request, pieces):
    names = {name.lower() for name in FRAMING}
    headers = [(name, value) for name, value in request.headers.get_all() if name.lower() not in names]
    return request.start_line.method, request.start_line.path, headers, b"".join(pieces)


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(1, 60), min_size=1))
def test_requests_are_what_was_sent_however_their_bytes_are_cut(sent, sizes):
    data, reader, bodies, position = b"".join(one for one, _ in sent), Requests(), {}, 0
    for number in range(len(data)):
        if position >= len(data):
            break
        size = sizes[number % len(sizes)]
        reader.feed(data[position : position + size])
        position += size
        all_of(reader, bodies)
    found = [said(request, pieces) for request, pieces in bodies.values()]
    assert [(method, target, body) for method, target, _, body in found] == [
        (method, target, body) for _, (method, target, _, body) in sent
    ]
    for (_, _, headers, _), (_, (_, _, wanted, _)) in zip(found, sent, strict=True):
        assert sorted((name.lower(), value) for name, value in headers) == sorted(
            (name.lower(), value) for name, value in wanted
        )
    assert all(request.whole and request.keeps_connection for request, _ in bodies.values())


@given(st.binary(max_size=300), st.booleans())
def test_whatever_comes_is_a_request_or_is_refused(data, begun):
    refusals = []
    with suppress(InvalidRequestError), noting(refusals):
        Requests().feed((b"POST / HTTP/1.1\r\n" if begun else b"") + data)
    assert all(str(error) and error.status in {400, 431, 501, 505} for error in refusals)


@contextmanager
def noting(refusals):
    try:
        yield
    except InvalidRequestError as error:
        refusals.append(error)
        raise


def only(data):
    reader = Requests()
    reader.feed(data)
    (request,) = reader.waiting
    return request


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST, True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n" + HOST, False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_whether_the_connection_stays_is_the_client_s_to_say(head, keeps):
    request = only(head + b"\r\n")
    assert (request.keeps_connection, request.whole) == (keeps, True)


def test_what_comes_behind_the_last_request_is_not_looked_at():
    reader = Requests()
    reader.feed(b"GET / HTTP/1.1\r\nConnection: close\r\nHost: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n")
    reader.feed(b"nonsense")
    assert [request.start_line.path for request in reader.waiting] == ["/"]


@pytest.mark.parametrize(
    "framing",
    [(b"Content-Length: 5\r\n\r\n", b"hello"), (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n")],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_offer_to_speak_another_protocol_is_passed_over_and_the_body_comes_all_the_same(framing, size):
    head, body = framing
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    data = b"POST /a HTTP/1.1\r\n" + HOST + offer + head + body + b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n"
    reader, bodies = Requests(), {}
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        all_of(reader, bodies)
    found = [(*said(request, pieces)[:2], b"".join(pieces)) for request, pieces in bodies.values()]
    assert found == [("POST", "/a", b"hello"), ("GET", "/b", b"")]
    assert [request.whole for request, _ in bodies.values()] == [True, True]


def test_a_tunnel_is_a_request_like_any_other():
    request = only(b"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n")
    assert (request.start_line.method, request.start_line.path, request.whole) == ("CONNECT", "b:443", True)


@pytest.mark.parametrize(
    ("data", "reason", "status"),
    [
        (b"BREW / HTTP/1.1\r\n\r\n", "Invalid method encountered", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", "Invalid char in url path", 400),
        (b"GET / HTTP/2.0\r\n\r\n", "its version is neither HTTP/1.1 nor HTTP/1.0", 505),
        (b"GET / HTTP/1.1\nHost: b\n\n", "Expected CRLF after version", 400),
        (b"GET / HTTP/1.1\r\nA: 1\r\n 2\r\n\r\n", "Unexpected whitespace after header value", 400),
        (b"GET / HTTP/1.1\r\nA: \0\r\n\r\n", "Invalid header value char", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "Duplicate Content-Length", 400),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding can't be present with Content-Length",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "the only transfer coding that is understood is chunked",
            501,
        ),
        (
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.0 has no transfer codings",
            400,
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n\r\n", "trailers are not accepted", 400),
        (b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", TOO_LARGE, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 3 * MAX_HEAD_BYTES, TOO_LARGE, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * (MAX_HEAD_BYTES // 6 + 1), TOO_LARGE, 431),
        (b"\r\n" * 2 * MAX_HEAD_BYTES, TOO_LARGE, 431),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 3 * MAX_HEAD_BYTES,
            TOO_LARGE,
            431,
        ),
    ],
)
def test_what_two_servers_might_read_differently_or_has_no_bounds_is_refused_with_a_reason(data, reason, status):
    with pytest.raises(InvalidRequestError) as refusal:
        Requests().feed(data)
    assert (str(refusal.value), refusal.value.status) == (reason, status)


def test_a_head_as_large_as_may_be_is_read_in_any_pieces():
    head = b"GET / HTTP/1.1\r\nA: " + b"x" * (MAX_HEAD_BYTES - 40) + b"\r\n\r\n"
    for size in (1000, MAX_HEAD_BYTES):
        reader = Requests()
        for start in range(0, len(head), size):
            reader.feed(head[start : start + size])
        assert len(reader.waiting) == 1
