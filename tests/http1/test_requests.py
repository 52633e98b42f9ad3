from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from httptools import HttpParserError
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from http1.requests import (
    LINE_TOO_LARGE,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    TOO_LARGE,
    TOO_MANY_HEADERS,
    TRAILERS,
    MalformedRequestError,
    Requests,
    add_checked,
    http_date,
)
from tests.cases import for_each
from tests.processor import is_within, seconds_of
from upstream.response import Response

HOST = b"Host: b\r\n"
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=20)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
TARGETS = st.text("abc/?=&%20;:@-._~", max_size=40).map("/{}".format)
FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade", "expect"}
HEADERS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in FRAMING), VALUES), max_size=6)

LIKE_ENDS = [b"0\r\n\r\n", b"\n0\r\n\r\n", b"\r\n0;x\r\n\r\n", b"\r\n\r\n", b"\r\n0\r\n\r\n0\r\n", b"\n00"]


@st.composite
def requests(draw):
    """A request in bytes, and what it says."""
    method, target, headers = draw(st.sampled_from(["GET", "POST", "DELETE"])), draw(TARGETS), draw(HEADERS)
    pieces = draw(st.lists(st.binary(min_size=1, max_size=50) | st.sampled_from(LIKE_ENDS), max_size=4))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if draw(st.booleans()):
        framed = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        framed += draw(st.sampled_from([b"0\r\n\r\n", b"000;a=b\r\n\r\n"]))
        lines.append("Transfer-Encoding: chunked")
    else:
        framed = b"".join(pieces)
        lines.append(f"Content-Length: {len(framed)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + framed, (method, target, headers, b"".join(pieces))


def read_all(reader, parts):
    """The requests that a reader finds in parts, each with its body."""
    found = []

    def look():
        while (request := reader.request) is not None:
            if not found or found[-1][0] is not request:
                found.append((request, bytearray()))
            found[-1][1].extend(request.read_buffered())
            if not request.whole or not request.keeps_connection:
                return
            reader.next()

    for part in parts:
        reader.feed(part)
        look()
    return found


def cut(data, sizes):
    """The data in parts of these sizes, over and over."""
    position, number = 0, 0
    while position < len(data):
        yield data[position : position + sizes[number % len(sizes)]]
        position += sizes[number % len(sizes)]
        number += 1


def said(request, body):
    names = {name.lower() for name in FRAMING}
    headers = [(name, value) for name, value in request.headers.get_all() if name.lower() not in names]
    return request.start_line.method, request.start_line.path, headers, bytes(body)


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(1, 60), min_size=1))
def test_requests_are_what_was_sent_however_their_bytes_are_cut(sent, sizes):
    read = read_all(Requests(), (part for one, _ in sent for part in cut(one, sizes)))
    found = [said(request, body) for request, body in read]
    assert [(method, target, body) for method, target, _, body in found] == [
        (method, target, body) for _, (method, target, _, body) in sent
    ]
    for (_, _, headers, _), (_, (_, _, wanted, _)) in zip(found, sent, strict=True):
        assert sorted((name.lower(), value) for name, value in headers) == sorted(
            (name.lower(), value) for name, value in wanted
        )
    assert all(request.whole and request.keeps_connection for request, _ in read)


@given(st.binary(max_size=300), st.booleans())
def test_whatever_comes_is_a_request_or_is_refused(data, begun):
    refusals = []
    with suppress(MalformedRequestError), noting(refusals):
        Requests().feed((b"POST / HTTP/1.1\r\n" if begun else b"") + data)
    assert all(str(error) and error.status in {400, 431, 501, 505} for error in refusals)


@contextmanager
def noting(refusals):
    try:
        yield
    except MalformedRequestError as error:
        refusals.append(error)
        raise


def only(data):
    reader = Requests()
    reader.feed(data)
    assert reader.request is not None
    return reader.request


def test_what_comes_behind_the_last_request_is_not_looked_at():
    reader = Requests()
    reader.feed(b"GET / HTTP/1.1\r\nConnection: close\r\nHost: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n")
    reader.feed(b"nonsense")
    assert (reader.request.start_line.path, reader.unread) == ("/", b"")
    reader.next()
    assert reader.request is None


@for_each("behind", b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n", b"GET /2 HT", b"nonsense", b"\0")
def test_who_does_not_wait_for_the_response_gets_no_other_one(behind):
    reader = Requests()
    reader.feed(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhi" + behind)
    assert (reader.request.whole, reader.request.read_buffered()) == (True, b"hi")
    assert (reader.request.keeps_connection, reader.request.followed) == (False, True)
    reader.feed(b"GET /3 HTTP/1.1\r\nHost: b\r\n\r\n")
    reader.next()
    assert reader.request is None


def test_what_comes_in_a_later_read_is_the_next_request_and_line_ends_are_nothing():
    reader = Requests()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi\r\n")
    reader.feed(b"\r\nGET /2 HTTP/1.1\r\n\r\n")
    assert (reader.request.start_line.path, reader.request.keeps_connection) == ("/", True)
    reader.next()
    assert (reader.request.start_line.path, reader.request.keeps_connection) == ("/2", True)


@for_each(
    "framing",
    (b"Content-Length: 5\r\n\r\n", b"hello"),
    (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    ids=["length", "chunks"],
)
@for_each("size", 1, 7, 1000)
def test_an_upgrade_offer_is_ignored_and_the_body_is_read(framing, size):
    head, body = framing
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    data = b"POST /a HTTP/1.1\r\n" + HOST + offer + head + body
    found = read_all(Requests(), [*cut(data, [size]), b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n"])
    assert [(*said(request, body)[:2], bytes(body)) for request, body in found] == [
        ("POST", "/a", b"hello"),
        ("GET", "/b", b""),
    ]
    assert [request.whole for request, _ in found] == [True, True]


def test_the_request_for_a_tunnel_is_the_last_one_of_its_connection():
    request = only(b"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n")
    assert (request.start_line.method, request.start_line.path) == ("CONNECT", "b:443")
    assert (request.whole, request.keeps_connection) == (True, False)


@for_each(
    ("target", "path", "host"),
    ("http://c", "/", "c"),
    ("HTTPS://c:8443/a/b?q=1", "/a/b?q=1", "c:8443"),
    ("http://c?q=1", "/?q=1", "c"),
    ("http://[::1]:80/", "/", "[::1]:80"),
    ("//c/d", "//c/d", "b"),
    ("*", "*", "b"),
)
def test_an_absolute_target_says_path_and_host(target, path, host):
    request = only(f"OPTIONS {target} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
    assert (request.start_line.path, request.headers["Host"]) == (path, host)


@pytest.mark.parametrize("host", ["", "Host: b\r\nHost: c\r\n"], ids=["none", "two"])
def test_an_absolute_target_makes_no_host_out_of_none_or_two(host):
    request = only(f"GET http://c/ HTTP/1.1\r\n{host}\r\n".encode())
    assert request.headers.get_list("Host") == (["b", "c"] if host else [])


@for_each(
    ("data", "reason", "status"),
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
        b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        "the only transfer coding that is understood is chunked",
        501,
    ),
    (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 has no transfer codings",
        400,
    ),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n\r\n", TRAILERS, 400),
    (b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", TOO_LARGE, 431),
    (b"GET / HTTP/1.1\r\nA: " + b"x" * 3 * MAX_HEAD_BYTES, TOO_LARGE, 431),
    (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n", TOO_MANY_HEADERS, 431),
    (
        b"GET ftp://b/ HTTP/1.1\r\n\r\n",
        "its target is neither a path nor an address that begins with http:// or https://",
        400,
    ),
    (b"GET http:///a HTTP/1.1\r\n\r\n", "its target has no host, or a user's name before it", 400),
    (b"GET http://a@b/ HTTP/1.1\r\n\r\n", "its target has no host, or a user's name before it", 400),
    (b"GET / HTTP/1.1\r\nA : 1\r\n\r\n", "Invalid header token", 400),
    (b"GET / HTTP/1.1\r\nno colon in here\r\n\r\n", "Invalid header token", 400),
    (b"GET / HTTP/1.1\r\n: nameless\r\n\r\n", "Invalid header token", 400),
    (b"GET / HTTP/1.1\r\nA: a\rb\r\n\r\n", "Missing expected LF after header value", 400),
    (b"GET / HTTP/1.1\r\n" + b"A" * 3 * MAX_HEAD_BYTES, TOO_LARGE, 431),
    (b"GET / HTTP/1.1\r\nA: 1\r\n\n", "Invalid header field char", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: two\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: -2\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 0x2\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 2_0\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", "Invalid character in Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", "Empty Content-Length", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "Content-Length overflow", 400),
    (b"\r\n" * 2 * MAX_HEAD_BYTES, TOO_LARGE, 431),
    (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 3 * MAX_HEAD_BYTES,
        LINE_TOO_LARGE,
        431,
    ),
)
def test_ambiguous_or_unbounded_requests_are_refused_with_a_reason(data, reason, status):
    with pytest.raises(MalformedRequestError) as refusal:
        Requests().feed(data)
    assert (str(refusal.value), refusal.value.status) == (reason, status)


@for_each(
    ("body", "reason"),
    (b"x", "Invalid character in chunk size"),
    (b"5 \r\n", "Invalid character in chunk size"),
    (b" 5\r\n", "Invalid character in chunk size"),
    (b"+5\r\n", "Invalid character in chunk size"),
    (b"-1\r\n", "Invalid character in chunk size"),
    (b"0x5\r\n", "Invalid character in chunk size"),
    (b"5\n", "Missing expected CR after chunk size"),
    (b"5;a\0\r\n", "Invalid character in chunk extensions name"),
    (b"5\r\nhelloX", "Expected LF after chunk data"),
    (b"\r\n", "Invalid character in chunk size"),
    (b"F" * 17, "Chunk size overflow"),
    (b"1\r\na\r\n0\r\nA: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n", TRAILERS),
)
@for_each("size", 1, 1000)
def test_chunks_that_two_servers_might_read_differently_are_refused(body, reason, size):
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with pytest.raises(MalformedRequestError, match=reason):
        read_all(Requests(), cut(data, [size]))


@pytest.mark.timed
@pytest.mark.parametrize("body", [b"1\r\nx\r\n", b"7\r\n\n0\r\n\r\n0\r\n", b"9\r\n\r\n\r\n\r\n\r\n0\r\n"])
def test_a_body_of_tiny_chunks_or_of_ends_that_are_none_costs_little(body):
    times = 256 * 1024 // len(body)
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body * times + b"0\r\n\r\nGET"
    readers = []

    def read():
        readers.append(Requests())
        readers[-1].feed(data)

    assert is_within(0.25, lambda: seconds_of(read))
    assert (readers[-1].request.whole, readers[-1].request.followed) == (True, True)


def test_a_head_with_as_many_headers_as_may_be_is_read():
    assert len(only(b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * MAX_HEADERS + b"\r\n").headers.get_list("A")) == MAX_HEADERS


def test_a_head_as_large_as_may_be_is_read_in_any_pieces():
    head = b"GET / HTTP/1.1\r\nA: " + b"x" * (MAX_HEAD_BYTES - 40) + b"\r\n\r\n"
    for size in (1000, MAX_HEAD_BYTES):
        reader = Requests()
        for start in range(0, len(head), size):
            reader.feed(head[start : start + size])
        assert reader.request.whole


NAMES = st.sampled_from(["Accept", "accept", "X-Request-Id", "x-request-ID", "COOKIE"])
HEADER_VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=5)
OCTETS = [bytes([octet]) for octet in range(256)]


@given(st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=8), st.lists(NAMES))
def test_a_checked_header_is_added_as_tornado_adds_it(sent, looked_up):
    added, quick = HTTPHeaders(), HTTPHeaders()
    for name, value in sent:
        added.add(name, value)
        add_checked(quick, name, value)
        assert [quick.get(one) for one in looked_up] == [added.get(one) for one in looked_up]
    assert list(quick.get_all()) == list(added.get_all())


def read_by_server(line):
    """The header that a request is read to have; None where it is refused."""
    requests = Requests()
    with suppress(MalformedRequestError):
        requests.feed(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")
    return next(iter(requests.request.headers.get_all()), None) if requests.request else None


def read_by_client(line):
    """The header that a response is read to have; None where it is refused."""
    response = Response("GET")
    with suppress(HttpParserError):
        response.feed(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n")
    return response.headers[0] if response.has_head and response.headers else None


@for_each("line", b"a%bb: c", b"%ba: c", b"a%b: c")
@for_each("read", read_by_server, read_by_client)
def test_no_name_gets_past_a_parser_that_tornado_would_refuse(read, line):
    found = [header for octet in OCTETS if (header := read(line % octet)) is not None]
    assert len(found) >= 60
    for name, _ in found:
        HTTPHeaders().add(name, "c")


@for_each("line", b"a: b%bc", b"a: %bb", b"a: b%b", b"a: %b")
def test_no_value_gets_past_the_parser_of_requests_that_tornado_would_refuse(line):
    found = [header for octet in OCTETS if (header := read_by_server(line % octet)) is not None]
    assert len(found) >= 220
    for _, value in found:
        HTTPHeaders().add("a", value)


@pytest.mark.parametrize("second", [0, 1_795_671_908])
def test_a_date_is_written_as_http_has_it(second):
    assert parsedate_to_datetime(http_date(second)) == datetime.fromtimestamp(second, UTC)
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"  # the example of RFC 9110, section 5.6.7
