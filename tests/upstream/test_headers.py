from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.headers import BILLING, request_head, to_client, to_upstream

KEY = ("Authorization", "Bearer sk-provider")
OF_A_HOP = "connection keep-alive proxy-connection te trailer transfer-encoding upgrade"
OF_THE_BRIDGE = "authorization x-api-key x-coder-ai-governance-token coder-session-token cookie"
OF_OTHER_VENDORS = "api-key x-goog-api-key x-amz-security-token x-amz-date x-amz-content-sha256"
OF_THE_CLIENT = (
    "forwarded via x-real-ip x-client-ip x-cluster-client-ip client-ip true-client-ip fastly-client-ip x-azure-clientip "
    "x-envoy-external-address cdn-loop x-forwarded-for x-forwarded-proto x-forwarded x-original-forwarded-for cf-ray "
    "fly-client-ip x-appengine-user-ip x-vercel-ip-city x-envoy-original-path"
)
ACTORS = "x-ai-bridge-actor-id x-aibridge-actor-id x-ai-bridge-actor-metadata-username x-ai-bridge-anything"
OF_ANOTHER_REQUEST = "x-http-method-override x-http-method x-method-override x-rewrite-url x-original-url"
FOR_THE_BRIDGE = f"{OF_A_HOP} {OF_THE_BRIDGE} {OF_OTHER_VENDORS} {OF_THE_CLIENT} {ACTORS} {OF_ANOTHER_REQUEST}"
NOT_UP = {*f"{FOR_THE_BRIDGE} host accept-encoding content-length expect range if-range x-goog-fieldmask".split()}
OF_THE_ORIGIN = (
    "set-cookie set-cookie2 alt-svc strict-transport-security clear-site-data refresh link service-worker-allowed "
    "access-control-allow-origin content-security-policy content-security-policy-report-only x-content-type-options "
    "cross-origin-opener-policy report-to nel x-ai-bridge-interception-id x-aibridge-anything"
)
NOT_DOWN = {*f"{OF_A_HOP} {OF_THE_ORIGIN} x-accel-redirect x-sendfile x-lighttpd-a x-litespeed-a x-reproxy-url".split()}


def test_what_either_side_sent_reaches_the_other_in_order_and_repeats():
    sent = [
        ("Anthropic-Version", "2023-06-01"),
        ("Anthropic-Beta", "a"),
        ("Anthropic-Beta", "b"),
        ("X-Unheard-Of", "1"),
    ]
    assert to_upstream(sent, []) == [*sent, ("Accept-Encoding", "identity")]
    limits = [("Retry-After", "7"), ("Anthropic-Ratelimit-Requests-Remaining", "9"), ("Content-Length", "12")]
    assert to_client([("Proxy-Authenticate", "Basic"), *limits, *sent]) == [*limits, *sent]


def test_what_connection_names_stays_here():
    sent = [
        ("Connection", "keep-alive, X-Named , Content-Type"),
        ("x-named", "1"),
        ("X-Other", "2"),
        ("Content-Type", "a"),
    ]
    assert to_upstream(sent, [KEY]) == [("X-Other", "2"), ("Accept-Encoding", "identity"), KEY]
    assert to_client(sent) == [("X-Other", "2")]


def test_a_value_that_no_header_may_have_does_not_reach_the_client():
    values = [f"a{chr(code)}b" for code in range(256)]
    crossed = [value for _, value in to_client([("X", value) for value in values])]
    assert crossed == [value for value in values if ord(value[1]) not in {*range(9), *range(10, 32), 127}]


@for_each(
    ("crossing", "name"),
    *((lambda sent: to_upstream(sent, [])[:-1], name) for name in sorted(NOT_UP)),
    *((to_client, name) for name in sorted(NOT_DOWN)),
)
def test_a_header_of_the_hop_the_bridge_or_the_origin_stays_however_it_is_written(crossing, name):
    sent = [(spelled, "x") for spelled in (name, name.title(), name.upper(), name.replace("-", "_"))]
    near = [("X-A", "1"), (f"x{name}", "2")]
    assert crossing([*sent, *near]) == near


def test_further_headers_stay_by_name_or_by_what_is_in_them():
    sent = [("OpenAI-Project", "p"), ("X-A", "secret"), ("X-B", "b")]
    crossed = to_upstream(sent, [], dropped=BILLING, is_secret=lambda value: value == "secret")
    assert crossed == [("X-B", "b"), ("Accept-Encoding", "identity")]
    assert to_client(sent, ["X-a", "openai-project"]) == [("X-B", "b")]


@for_each(
    ("method", "length", "result"),
    ("POST", 9, b"Content-Length: 9\r\n"),
    ("POST", 0, b"Content-Length: 0\r\n"),
    ("DELETE", 0, b"Content-Length: 0\r\n"),
    ("GET", 0, b""),
    ("HEAD", 0, b""),
)
def test_a_head_is_what_was_given_with_host_before_and_length_behind(method, length, result):
    headers = [("B", "1"), ("A", "caf\xc3\xa9"), ("B", "2"), ("Empty", "")]
    assert request_head(method, "/v1/a%2Fb?q=\xfc", "[::1]:80", headers, length) == (
        method.encode() + b" /v1/a%2Fb?q=\xfc HTTP/1.1\r\nHost: [::1]:80\r\n"
        b"B: 1\r\nA: caf\xc3\xa9\r\nB: 2\r\nEmpty: \r\n" + result + b"\r\n"
    )


@given(st.lists(st.text("ab\r\n\0\x7f ", max_size=4), min_size=5, max_size=5))
def test_a_head_has_the_lines_that_were_given_or_is_refused(texts):
    method, target, host, name, value = texts
    try:
        head = request_head(method, target, host, [(name, value), ("X", "y")], 1)
    except ValueError:
        assert set("".join(texts)) & set("\r\n\0")
    else:
        assert head.split(b"\r\n") == [
            *(f"{method} {target} HTTP/1.1".encode(), f"Host: {host}".encode(), f"{name}: {value}".encode()),
            *(b"X: y", b"Content-Length: 1", b"", b""),
        ]
        assert (head.count(b"\n"), b"\0" in head) == (6, False)
