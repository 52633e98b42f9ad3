from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from intercept.callers.retries import retry_count
from tests.cases import for_each


@for_each(
    ("headers", "count"),
    [
        ({}, 0),
        ({"x-stainless-retry-count": "0"}, 0),
        ({"x-stainless-retry-count": " 2 "}, 2),
        ({"x-stainless-retry-count": "999"}, 999),
        ({"x-stainless-retry-count": "1000"}, 0),
        ({"x-stainless-retry-count": "-1"}, 0),
        ({"x-stainless-retry-count": "\u0663"}, 0),
        ({"amz-sdk-request": "attempt=1"}, 0),
        ({"amz-sdk-request": "attempt=3; max=3"}, 2),
        ({"amz-sdk-request": "ttl=20260101T000000Z; attempt=2; max=3"}, 1),
        ({"amz-sdk-request": "attempt=0"}, 0),
        ({"amz-sdk-request": "attempts=3"}, 0),
        ({"x-stainless-retry-count": "1", "amz-sdk-request": "attempt=9"}, 1),
    ],
)
def test_clients_say_how_often_they_have_tried(headers, count):
    assert retry_count(HTTPHeaders(headers)) == count


@given(st.text(), st.text())
def test_whatever_is_sent_is_a_count(stainless, amazon):
    found = retry_count({"X-Stainless-Retry-Count": stainless, "amz-sdk-request": amazon})
    assert 0 <= found <= 999
