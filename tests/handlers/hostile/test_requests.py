"""Whatever a stranger or a user puts into a request, it is answered, and never with a 500."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_network
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.api.sign_in.sign_in import FOREIGN
from handlers.identity.credentials import SESSION_COOKIE
from tests.examples import examples
from tests.handlers.contract import CONTROL, DATA, Contract

UNREADABLE_VALUES = (
    *("http://[", "http://[::1", "http://]", "http://[::1]x", "http://a:99999", "http://a:b", "https://\u2100.example"),
    *(
        "http://\xff",
        "null",
        "",
        "://",
        "//",
        "\x7f",
        "\xad",
        "%",
        "%ff%fe",
        "\xe9",
        '"',
        ";",
        ",",
        "=",
        "a=b; c",
        "[",
        "]",
    ),
    *("999.999.999.999", "::ffff:1.2.3", "fe80::1%", "fe80::1%eth0", "1e999", "-1", "\xb2", "9" * 5000, "NaN", "00"),
    *(
        "9999-99-99T99:99:99Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "Thu, 99 Abc 9999 99:99:99 GMT",
    ),
    *(
        "$x",
        "{}",
        "a" * 3000,
        "bytes=0-",
        "W/",
        '"\\',
        "00-0-0-0",
        "\\",
        "../",
        ".",
        "..",
        "%00",
        "(",
        "*",
        "initiator:\xe9",
    ),
    *(
        "model:",
        "model:\x00",
        "initiator:{}",
        'q"',
        "started_after:x",
        "started_after:9999-12-31T23:59:59-23:59",
        "status:$",
    ),
)
HEADERS = (
    *("Origin", "Referer", "Host", "Cookie", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"),
    *("Sec-Fetch-Site", "Authorization", "X-Api-Key", "Coder-Session-Token", "X-Coder-AI-Governance-Token"),
    *("If-None-Match", "If-Modified-Since", "Accept", "Accept-Encoding", "Accept-Language", "Content-Type"),
    *("Content-Encoding", "Range", "Last-Event-ID", "traceparent", "tracestate", "User-Agent", "Date", "Expect"),
    *("X-Request-Id", "Upgrade"),
)
COOKIE_VALUES = st.sampled_from(UNREADABLE_VALUES).map(lambda value: f"{SESSION_COOKIE}={value}")
values = st.sampled_from(UNREADABLE_VALUES) | st.text(
    st.characters(max_codepoint=0xFF, exclude_characters="\r\n\0"), max_size=40
)
octets = st.binary(max_size=20) | values.map(lambda value: value.encode())
OF_BROWSERS = [
    *(("GET", path, ()) for path in ("/", "/help/{page}", "/dashboard/{file}")),
    ("GET", f"{CONTROL}/sign-in/oidc", ("view",)),
    ("GET", f"{CONTROL}/sign-in/oidc/callback", ("code", "state", "iss", "error")),
]
OPERATIONS = OF_BROWSERS + [
    (method, path, tuple(one["name"] for one in parameters if one["in"] == "query"))
    for method, path, _, parameters in Contract().operations()
    if not path.startswith((DATA, "/api/experimental"))
]


@st.composite
def requests(draw, *, let_in: bool):
    """The bytes of a request."""
    method, path, parameters = draw(st.sampled_from(OPERATIONS))
    method = draw(st.sampled_from([method, method, method, "POST", "DELETE", "HEAD"]))
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + quote_from_bytes(draw(octets), safe="") + rest.partition("}")[2]
    if draw(st.booleans()):
        names = st.sampled_from([*parameters, "x"])
        query = draw(st.lists(st.tuples(names, octets), max_size=3))
        path += "?" + "&".join(f"{name}={quote_from_bytes(value, safe='')}" for name, value in query)
    headers = draw(st.dictionaries(st.sampled_from(HEADERS), values, max_size=4))
    if draw(st.booleans()):
        headers["Cookie"] = draw(COOKIE_VALUES)
    if let_in:
        headers = {"Authorization": "Bearer {token}"} | headers
    body = draw(
        st.sampled_from(
            [
                b"",
                b"{}",
                b"\xff",
                b'{"token": "\\ud800"}',
                b'{"username": 1}',
                b'"' * 5000,
                b"[" * 4000,
                b'{"x":' + b"[" * 4000,
            ]
        )
    )
    lines = [f"{method} {path} HTTP/1.1", "Host: bridge", *(f"{name}: {value}" for name, value in headers.items())]
    if "Host" in headers:
        del lines[1]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close"])
    return head.encode("latin-1", "replace") + b"\r\n\r\n" + body


async def status_of(running, request):
    client = await running.client()
    await client.send_raw(request.replace(b"{token}", running.token.encode()))
    status = (await client.head()).status  # a response without an end is left at its beginning
    client.close()
    running.clients.remove(client)
    return status


@pytest.mark.parametrize("let_in", [False, True])
@pytest.mark.bridge(trusted_proxies=(ip_network("127.0.0.0/8"),))
def test_no_request_to_the_control_plane_is_a_500(running, io_loop, let_in):
    @settings(max_examples=examples(20, 800), suppress_health_check=[HealthCheck.too_slow])
    @given(requests(let_in=let_in))
    def send(request):
        assert io_loop.run_sync(partial(status_of, running, request)) not in {500, 502}

    send()


async def test_an_origin_that_cannot_be_read_is_foreign(running):
    client = await running.client()
    for origin in ("http://[", "http://[::1", "http://a:99999", "\xff", "null", ""):
        response = await client.request("POST", "/api/v2/aibridge/users/me/session", {"Origin": origin})
        assert (response.status, response.body) == (403, b'{"message":"%b"}' % FOREIGN.encode()), origin
