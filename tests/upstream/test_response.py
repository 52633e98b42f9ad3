from itertools import pairwise

import pytest
from httptools import HttpParserError
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.response import MAX_HEADER_LINE_BYTES, MAX_HEADERS, MAX_INTERIM_RESPONSES, Response

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: 2\r\n"
WHOLE = OK + LENGTH + b"\r\nhi"


def read(raw, method="POST", cuts=(), *, closed=False):
    """Feed a response in the pieces that these cuts leave, up to its end, as a connection does."""
    response = Response(method)
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    for start, end in pairwise(places):
        if response.whole:
            break
        response.feed(raw[start:end])
    if closed:
        response.end()
    return response


def outcome(raw, cuts):
    """All that a caller may learn of a response that may be broken."""
    try:
        response = read(raw, cuts=cuts, closed=True)
    except HttpParserError:
        return "refused"
    return (
        (response.status, response.reason, response.headers, response.read_buffered(), response.whole)
        if response.has_head
        else "no head"
    )


def every_byte(raw):
    return range(len(raw))


CUTS = st.lists(st.integers(0, 400))
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.!~", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
HEADERS = st.lists(st.tuples(TOKENS.map(lambda name: "X-" + name), VALUES), max_size=6)
INTERIM = st.sampled_from(
    [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2]
)


@st.composite
def responses(draw):
    """A response as bytes, and what it means."""
    status, headers, body = draw(st.integers(200, 599)), draw(HEADERS), draw(st.binary(max_size=60))
    framing = "none" if status in {204, 304} else draw(st.sampled_from(["length", "chunked", "close"]))
    text = body
    if framing == "length":
        headers.insert(draw(st.integers(0, len(headers))), ("content-length", str(len(body))))
    elif framing == "chunked":
        headers.insert(draw(st.integers(0, len(headers))), ("Transfer-Encoding", "Chunked"))
        size = draw(st.integers(1, 20))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        extension, trailers = draw(st.sampled_from([b"", b";a=b", b" "])), draw(st.sampled_from([b"", b"A: b\r\n"]))
        chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
        text = chunks + b"0\r\n" + trailers + b"\r\n"
    elif framing == "none":
        text = body = b""
    head = f"HTTP/1.1 {status} Fine\r\n" + "".join(f"{name}:  {value} \r\n" for name, value in headers) + "\r\n"
    return draw(INTERIM) + head.encode("latin-1") + text, (status, "Fine", headers, body), framing


@given(responses(), CUTS)
def test_an_answer_means_the_same_wherever_its_bytes_were_cut(made, cuts):
    raw, meant, framing = made
    for places in ((), every_byte(raw), cuts):
        response = read(raw, cuts=places, closed=framing == "close")
        assert (response.status, response.reason, response.headers, response.read_buffered()) == meant
        assert (response.whole, response.keeps_connection) == (True, framing != "close")


@st.composite
def damaged(draw):
    raw, _, _ = draw(responses())
    place, gone = draw(st.integers(0, len(raw))), draw(st.integers(0, 12))
    return raw[:place] + draw(st.binary(max_size=6)) + raw[place + gone :]


@given(st.one_of(damaged(), st.binary(max_size=200)), CUTS)
def test_what_is_broken_is_broken_wherever_it_was_cut(raw, cuts):
    assert outcome(raw, ()) == outcome(raw, every_byte(raw)) == outcome(raw, cuts)


@given(responses(), st.integers(1, 500))
def test_an_answer_that_was_cut_short_is_never_whole(made, missing):
    raw, (status, *_), framing = made
    if framing in {"length", "chunked"} and status not in {204, 304}:
        short = raw[: max(0, len(raw) - missing)]
        assert not read(short, closed=True).whole


@for_each(
    ("raw", "body", "keeps"),
    (WHOLE, b"hi", True),
    (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    (OK + CHUNKED + b"\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", True),
    (OK + CHUNKED + b"\r\n2  \r\nhi\r\n0\r\n\r\n", b"hi", True),
    (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", True),
    (b"HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 2\n\nhi", b"hi", True),
    (OK + b"Connection: close\r\n" + LENGTH + b"\r\nhi", b"hi", False),
    (OK + b"Content-Length : 2\r\n\r\nhi", b"hi", True),
    (b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\nhi", b"hi", False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\nhi", b"hi", True),
    (b"HTTP/1.1 204 No Content\r\n" + LENGTH + b"\r\n", b"", True),
    (b"HTTP/1.1 304 Not Modified\r\n" + LENGTH + b"\r\n", b"", True),
    (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"", False),
)
def test_a_body_ends_where_its_framing_says(raw, body, keeps):
    for cuts in ((), every_byte(raw)):
        response = read(raw, cuts=cuts)
        assert (response.read_buffered(), response.whole, response.keeps_connection) == (body, True, keeps)


@pytest.mark.parametrize("end", ["", "Transfer-Encoding: gzip\r\n", "Connection: keep-alive\r\n"])
def test_a_body_without_framing_ends_with_the_connection(end):
    response = read(OK + end.encode() + b"\r\nhi")
    assert (response.has_head, response.whole) == (True, False)
    response.end()
    assert (response.read_buffered(), response.whole, response.keeps_connection) == (b"hi", True, False)


def test_an_answer_to_head_has_no_body_whatever_its_length():
    raw = OK + b"Content-Length: 1234\r\n\r\n"
    for cuts in ((), every_byte(raw)):
        response = read(b"HTTP/1.1 103 Early Hints\r\n\r\n" + raw, "HEAD", cuts)
        assert (response.status, response.headers, response.read_buffered()) == (200, [("Content-Length", "1234")], b"")
        assert (response.whole, response.keeps_connection) == (True, False)


@for_each("behind", WHOLE, b"garbage", b"\0", b"HTTP/1.1 100 Continue\r\n\r\n")
def test_what_comes_behind_an_answer_costs_the_connection_and_changes_nothing(behind):
    response = read(WHOLE + behind)
    assert (response.headers, response.read_buffered()) == ([("Content-Length", "2")], b"hi")
    assert (response.whole, response.keeps_connection) == (True, False)


REFUSED = [
    *(b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x50", b"hello"),
    *(b"HTTP/1.1 20 OK\r\n", b"HTTP/1.1 2000 OK\r\n"),
    *(OK + line + b"\r\n\r\n" for line in (b"X", b"X : y", b": y", b"X: a\0b", b"X: a\rb")),
    *(OK + b"Content-Length: " + length + b"\r\n\r\nhi" for length in (b"-2", b"+2", b"2, 2", b"0x2", b"9" * 30)),
    *(OK + LENGTH + more + b"\r\nhi" for more in (LENGTH, CHUNKED)),
    *(OK + CHUNKED + b"\r\n" + chunk for chunk in (b"z\r\n", b"\r\n", b"f" * 17 + b"\r\n", b"1\r\nhi\r\n", b"-1\r\n")),
]


@for_each("raw", *REFUSED)
def test_what_is_not_http_is_refused(raw):
    for cuts in ((), every_byte(raw)):
        with pytest.raises(HttpParserError):
            read(raw, cuts=cuts)


def headers(number):
    return b"".join(b"X-%d: y\r\n" % at for at in range(number))


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\n" + headers(MAX_HEADERS) + b"\r\n"])
def test_a_head_has_as_many_headers_as_the_bound_and_no_more(interim):
    raw = interim + OK + headers(MAX_HEADERS - 1) + LENGTH + b"\r\nhi"
    for cuts in ((), every_byte(raw)):
        assert len(read(raw, cuts=cuts).headers) == MAX_HEADERS
        with pytest.raises(HttpParserError):
            read(interim + OK + b"Y: z\r\n" + raw[len(interim + OK) :], cuts=cuts)


def test_a_header_is_as_long_as_the_bound_and_no_longer():
    value = b"y" * (MAX_HEADER_LINE_BYTES - 1)
    assert read(OK + b"X:" + value + b"\r\n" + LENGTH + b"\r\nhi").headers[0] == ("X", value.decode())
    with pytest.raises(HttpParserError):
        read(OK + b"X:" + value + b"y\r\n" + LENGTH + b"\r\nhi")


ENDLESS = {
    "reason": (b"HTTP/1.1 200 ", b"y"),
    "name": (OK, b"y"),
    "value": (OK + b"X: ", b"y"),
    "folded value": (OK + b"X: y\r\n", b" y\r\n"),
    "blanks": (OK + b"X:", b" "),
    "headers": (OK, b"X: y\r\n"),
    "chunk size": (OK + CHUNKED + b"\r\n", b"0"),
    "chunk extension": (OK + CHUNKED + b"\r\n3;", b"x"),
    "chunk extensions": (OK + CHUNKED + b"\r\n3\r\nabc\r\n3", b";x=y"),
    "trailers": (OK + CHUNKED + b"\r\n0\r\n", b"X: y\r\n"),
    "trailer": (OK + CHUNKED + b"\r\n0\r\nX: ", b"y"),
    "folded trailer": (OK + CHUNKED + b"\r\n0\r\nX: y\r\n", b" y\r\n"),
}


@for_each("size", 1, 1000, 2**18)
@for_each("name", *ENDLESS)
def test_what_has_no_end_is_refused_when_it_is_as_long_as_a_line_may_be(name, size):
    begin, more = ENDLESS[name]
    response = Response("POST")
    response.feed(begin)
    for _ in range(2 + 2 * MAX_HEADER_LINE_BYTES // (size * len(more))):
        try:
            response.feed(more * size)
        except HttpParserError:
            return
    pytest.fail("it was not refused")


@for_each("name", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Proxy-Connection")
def test_a_name_with_spaces_behind_it_is_the_name_without_them(name):
    values = {"Content-Length": "2", "Transfer-Encoding": "chunked"}
    for spaces in (" ", "   "):
        head = f"HTTP/1.1 200 OK\r\n{name}{spaces}: {values.get(name, 'x')}\r\n\r\n"
        assert read(head.encode()).headers == [(name, values.get(name, "x"))]


def test_an_answer_has_a_bounded_number_of_interim_ones_before_it():
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert read(interim * MAX_INTERIM_RESPONSES + WHOLE).read_buffered() == b"hi"
    with pytest.raises(HttpParserError):
        read(interim * (MAX_INTERIM_RESPONSES + 1) + WHOLE)
