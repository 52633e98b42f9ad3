from __future__ import annotations

from ipaddress import ip_network
from types import SimpleNamespace

from tornado.httputil import HTTPHeaders

from handlers.identity.forwarded import client_address, scheme_of
from tests.cases import for_each

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@for_each(
    ("peer", "forwarded_for", "trusted", "address"),
    [
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
    ],
)
def test_the_address_is_the_nearest_that_is_not_a_trusted_proxy(peer, forwarded_for, trusted, address):
    assert client_address(peer, forwarded_for, trusted) == address


@for_each(
    ("peer", "forwarded_proto", "trusted", "scheme"),
    [
        ("10.0.0.1", "https", TRUSTED, "https"),
        ("10.0.0.1", "HTTPS", TRUSTED, "https"),
        ("10.0.0.1", "http, https", TRUSTED, "https"),
        ("10.0.0.1", "https, http", TRUSTED, "http"),
        ("10.0.0.1", "wss", TRUSTED, "http"),
        ("10.0.0.1", "", TRUSTED, "http"),
        ("203.0.113.9", "https", TRUSTED, "http"),
        ("10.0.0.1", "https", [], "http"),
        ("", "https", TRUSTED, "http"),
    ],
)
def test_the_scheme_is_what_a_trusted_proxy_says(peer, forwarded_proto, trusted, scheme):
    headers = HTTPHeaders({"X-Forwarded-Proto": forwarded_proto})
    request = SimpleNamespace(protocol="http", headers=headers, remote_ip=peer)
    assert scheme_of(request, trusted) == scheme
