from ipaddress import ip_network
from types import SimpleNamespace

from tornado.httputil import HTTPHeaders

from handlers.identity.credentials import client_address, is_foreign, scheme_of
from tests.cases import for_each

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@for_each(
    ("peer", "forwarded_for", "trusted", "address"),
    ("203.0.113.9", "", TRUSTED, "203.0.113.9"),
    ("203.0.113.9", "198.51.100.1", TRUSTED, "203.0.113.9"),
    ("10.0.0.1", "198.51.100.1", [], "10.0.0.1"),
    ("10.0.0.1", "198.51.100.1", TRUSTED, "198.51.100.1"),
    ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", TRUSTED, "198.51.100.1"),
    ("10.0.0.1", "forged, 10.0.0.3", TRUSTED, "10.0.0.3"),
    ("10.0.0.1", "10.0.0.2", TRUSTED, "10.0.0.2"),
    ("10.0.0.1", "198.51.100.1, ::ffff:10.0.0.2", TRUSTED, "198.51.100.1"),
    ("10.0.0.1", "198.51.100.1:4711, 10.0.0.2:80", TRUSTED, "198.51.100.1"),
    ("10.0.0.1", "[2001:db8::5]:4711, [fd00::2]", TRUSTED, "2001:db8::5"),
    ("10.0.0.1", "198.51.100.1:, 198.51.100.1:a, ::1:80", TRUSTED, "::1:80"),
    ("10.0.0.1", "198.51.100.1:a", TRUSTED, "10.0.0.1"),
    ("10.0.0.1", ",,", TRUSTED, "10.0.0.1"),
    ("fd00::1", "2001:db8::5", TRUSTED, "2001:db8::5"),
    ("", "198.51.100.1", TRUSTED, ""),
)
def test_the_address_is_the_nearest_that_is_not_a_trusted_proxy(peer, forwarded_for, trusted, address):
    assert client_address(peer, forwarded_for, trusted) == address


@for_each(
    ("peer", "forwarded_proto", "trusted", "scheme"),
    ("10.0.0.1", "https", TRUSTED, "https"),
    ("10.0.0.1", "HTTPS", TRUSTED, "https"),
    ("10.0.0.1", "http, https", TRUSTED, "https"),
    ("10.0.0.1", "https, http", TRUSTED, "http"),
    ("10.0.0.1", "wss", TRUSTED, "http"),
    ("10.0.0.1", "", TRUSTED, "http"),
    ("203.0.113.9", "https", TRUSTED, "http"),
    ("10.0.0.1", "https", [], "http"),
    ("", "https", TRUSTED, "http"),
)
def test_the_scheme_is_what_a_trusted_proxy_says(peer, forwarded_proto, trusted, scheme):
    headers = HTTPHeaders({"X-Forwarded-Proto": forwarded_proto})
    request = SimpleNamespace(protocol="http", headers=headers, remote_ip=peer)
    assert scheme_of(request, trusted) == scheme


@for_each(
    ("headers", "scheme", "foreign"),
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
)
def test_a_request_is_foreign_when_a_browser_says_that_another_origin_made_it(headers, scheme, foreign):
    assert is_foreign(HTTPHeaders(headers), scheme) is foreign
