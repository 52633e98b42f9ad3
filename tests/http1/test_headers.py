from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from httptools import HttpParserError
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from http1.errors import MalformedRequestError
from http1.headers import add_checked, http_date
from http1.requests import Requests
from tests.cases import for_each
from upstream.response import Response

NAMES = st.sampled_from(["Accept", "accept", "X-Request-Id", "x-request-ID", "COOKIE"])
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=5)
OCTETS = [bytes([octet]) for octet in range(256)]


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.lists(NAMES))
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


@for_each("line", [b"a%bb: c", b"%ba: c", b"a%b: c"])
@for_each("read", [read_by_server, read_by_client])
def test_no_name_gets_past_a_parser_that_tornado_would_refuse(read, line):
    found = [header for octet in OCTETS if (header := read(line % octet)) is not None]
    assert len(found) >= 60
    for name, _ in found:
        HTTPHeaders().add(name, "c")


@for_each("line", [b"a: b%bc", b"a: %bb", b"a: b%b", b"a: %b"])
def test_no_value_gets_past_the_parser_of_requests_that_tornado_would_refuse(line):
    found = [header for octet in OCTETS if (header := read_by_server(line % octet)) is not None]
    assert len(found) >= 220
    for _, value in found:
        HTTPHeaders().add("a", value)


@pytest.mark.parametrize("second", [0, 1_795_671_908])
def test_a_date_is_written_as_http_has_it(second):
    assert parsedate_to_datetime(http_date(second)) == datetime.fromtimestamp(second, UTC)
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"  # the example of RFC 9110, section 5.6.7
