from __future__ import annotations

from upstream.headers import to_client, to_upstream

KEY = ("Authorization", "Bearer sk-provider")


def test_what_the_client_sent_goes_upstream_in_order_and_repeats():
    sent = [
        ("Anthropic-Version", "2023-06-01"),
        ("Anthropic-Beta", "a"),
        ("Anthropic-Beta", "b"),
        ("X-Stainless-Retry-Count", "0"),
        ("User-Agent", "claude-cli/2.1"),
        ("X-Unheard-Of", "1"),
    ]
    assert to_upstream(sent, []) == [*sent, ("Accept-Encoding", "identity")]


def test_what_belongs_to_the_hop_or_to_the_bridge_stays_here():
    sent = [
        ("Host", "bridge"),
        ("Connection", "keep-alive, X-Named"),
        ("X-Named", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic x"),
        ("TE", "trailers"),
        ("Trailer", "X"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("Accept-Encoding", "gzip, br"),
        ("Content-Length", "3"),
        ("Cookie", "coder_session_token=x"),
        ("X-Coder-AI-Governance-Token", "x"),
        ("Coder-Session-Token", "x"),
        ("Authorization", "Bearer ours"),
        ("X-Api-Key", "ours"),
    ]
    assert to_upstream(sent, [KEY]) == [("Accept-Encoding", "identity"), KEY]


def test_the_upstreams_headers_reach_the_client():
    sent = [
        ("Content-Type", "application/json"),
        ("Content-Length", "12"),
        ("Request-Id", "req_1"),
        ("Retry-After", "7"),
        ("Anthropic-Ratelimit-Requests-Remaining", "9"),
        ("X-Multi", "a"),
        ("X-Multi", "b"),
        ("Date", "Mon, 01 Jan 2026 00:00:00 GMT"),
    ]
    dropped = [
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Keep-Alive", "timeout=5"),
        ("Set-Cookie", "__cf_bm=1"),
        ("Alt-Svc", "h3"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Proxy-Authenticate", "Basic"),
    ]
    assert to_client([*dropped, *sent]) == sent
