from tornado.httputil import HTTPHeaders

from handlers.identity.same_origin import is_foreign
from tests.cases import for_each


@for_each(
    ("headers", "scheme", "foreign"),
    [
        ({}, "http", False),
        ({"Sec-Fetch-Site": "same-origin"}, "http", False),
        ({"Sec-Fetch-Site": "none"}, "http", False),
        ({"Sec-Fetch-Site": "same-site"}, "http", True),
        ({"Sec-Fetch-Site": "cross-site"}, "http", True),
        ({"Sec-Fetch-Site": ""}, "http", True),
        ({"Origin": "http://bridge.example:4001", "Host": "bridge.example:4001"}, "http", False),
        ({"Origin": "https://bridge.example", "Host": "bridge.example"}, "https", False),
        ({"Origin": "https://bridge.example", "Host": "Bridge.example:443"}, "https", False),
        ({"Origin": "http://bridge.example", "Host": "bridge.example:80"}, "http", False),
        ({"Origin": "http://[::1]:4001", "Host": "[::1]:4001"}, "http", False),
        ({"Origin": "http://bridge.example", "Host": "bridge.example"}, "https", True),
        ({"Origin": "https://bridge.example", "Host": "bridge.example"}, "http", True),
        ({"Origin": "http://bridge.example:443", "Host": "bridge.example:443"}, "https", True),
        ({"Origin": "http://bridge.example:8080", "Host": "bridge.example:4001"}, "http", True),
        ({"Origin": "https://evil.example", "Host": "bridge.example"}, "https", True),
        ({"Origin": "null", "Host": "bridge.example"}, "http", True),
        ({"Origin": "http://bridge.example"}, "http", True),
        ({"Origin": "http://", "Host": ""}, "https", True),
        ({"Origin": "http://[", "Host": "["}, "https", True),
        ({"Origin": "", "Host": "bridge.example"}, "http", True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://front.example", "Host": "proxied"}, "http", False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://bridge.example", "Host": "bridge.example"}, "https", True),
    ],
)
def test_a_request_is_foreign_when_a_browser_says_that_another_origin_made_it(headers, scheme, foreign):
    assert is_foreign(HTTPHeaders(headers), scheme) is foreign
