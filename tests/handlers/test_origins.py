import pytest
from tornado.httputil import HTTPHeaders

from handlers.origins import is_foreign


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": ""}, True),
        ({"Origin": "http://bridge.example:4001", "Host": "bridge.example:4001"}, False),
        ({"Origin": "https://bridge.example", "Host": "bridge.example"}, False),
        ({"Origin": "http://bridge.example:8080", "Host": "bridge.example:4001"}, True),
        ({"Origin": "https://evil.example", "Host": "bridge.example"}, True),
        ({"Origin": "null", "Host": "bridge.example"}, True),
        ({"Origin": "http://bridge.example"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://front.example", "Host": "behind-a-proxy"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://bridge.example", "Host": "bridge.example"}, True),
    ],
)
def test_a_request_is_foreign_when_a_browser_says_that_another_origin_made_it(headers, foreign):
    assert is_foreign(HTTPHeaders(headers)) is foreign
