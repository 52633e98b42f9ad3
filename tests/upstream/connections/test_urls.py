from __future__ import annotations

import pytest

from tests.cases import for_each
from upstream.connections.urls import Origin, is_usable_url, locate


@for_each(
    ("url", "origin", "target"),
    [
        ("http://127.0.0.1:4001/", Origin("127.0.0.1", 4001, tls=False, authority="127.0.0.1:4001"), "/"),
        ("https://api.openai.com/v1/x", Origin("api.openai.com", 443, tls=True, authority="api.openai.com"), "/v1/x"),
        ("https://API.openai.com:443/", Origin("api.openai.com", 443, tls=True, authority="api.openai.com"), "/"),
        ("http://host:443/", Origin("host", 443, tls=False, authority="host:443"), "/"),
        ("http://[::1]:8080/", Origin("::1", 8080, tls=False, authority="[::1]:8080"), "/"),
        ("https://[2001:DB8::1]/", Origin("2001:db8::1", 443, tls=True, authority="[2001:db8::1]"), "/"),
        (
            "http://h/a%2Fb//c?q=%20x&&u=http://x/?y",
            Origin("h", 80, tls=False, authority="h"),
            "/a%2Fb//c?q=%20x&&u=http://x/?y",
        ),
    ],
)
def test_a_url_leads_to_a_server_and_asks_for_what_stands_behind_it(url, origin, target):
    assert locate(url) == (origin, target)


@for_each("url", ["", "/v1", "host/v1", "ftp://host/", "http:///v1", "http://host:x/", "http://[::1/"])
def test_a_url_that_leads_nowhere_is_refused(url):
    with pytest.raises(ValueError, match=r"."):
        locate(url)


@for_each(
    ("url", "usable"),
    [
        ("https://id.example/realms/x", True),
        ("https://id.example:8443", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost/x", True),
        ("http://id.example", False),
        ("http://localhost.evil.example", False),
        ("http://10.0.0.1", False),
        ("https://user:password@id.example", False),
        ("https://id.example/#x", False),
        ("https://id.example:0", False),
        ("https://id.example:99999", False),
        ("https://[::1", False),
        ("https://", False),
        ("ftp://id.example", False),
        ("https://id example", False),
        ("https://idé.example", False),
        ("https://id.example/\r\n", False),
        ("", False),
    ],
)
def test_which_urls_are_asked(url, usable):
    assert is_usable_url(url) is usable
