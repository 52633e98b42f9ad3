"""What does not cross the bridge: credentials, who is asking, and what concerns the bridge's own origin."""

import json
from dataclasses import replace

import pytest

from handlers.base import PROVIDER_KEY
from tests.handlers.conversations import CHAT, MESSAGES

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n"
OK = HEAD + b"\r\n{}"
MODELS = "/api/v2/aibridge/openai/v1/models"
NO_PAGE = [("Content-Security-Policy", "sandbox; default-src 'none'"), ("X-Content-Type-Options", "nosniff")]


def headers_named(response, *names):
    return sorted((name, value) for name, value in response.headers if name.lower() in {one.lower() for one in names})


async def test_neither_cookies_nor_tokens_nor_origins_of_a_call_leave_the_bridge(running):
    # no cookie is a credential on the data plane
    cookie = await running.signed_in()
    for site in ("same-origin", "none"):
        headers = cookie | {"Sec-Fetch-Site": site}
        assert (await running.get("/api/v2/aibridge/users/me", headers))[0] == 200, site
        for method, path in (("GET", MODELS), ("POST", running.path(CHAT)), ("GET", "/api/v2/aibridge/openai/nowhere")):
            response = await running.request(method, path, headers)
            assert (response.status, headers_named(response, *dict(NO_PAGE))) == (401, NO_PAGE), (site, path)
    assert running.upstream.requests == []
    await running.afresh()
    # where a request came from does not go to a vendor
    running.upstream.play(OK)
    names = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "CF-Connecting-IP")
    await running.request("GET", MODELS, running.headers | dict.fromkeys(names, "192.0.2.7"))
    assert [name for name, value in running.upstream.requests[0].headers if "192.0.2.7" in value] == []
    await running.afresh()
    # calls of clients that send the token twice work and it stays here
    running.upstream.play(OK)
    cases = {
        "foundry": {"X-Api-Key": "{}", "Api-Key": "{}"},
        "gemini": {"Authorization": "Bearer {}", "X-Goog-Api-Key": "{}"},
        "continue": {"Authorization": "Bearer {}", "Api-Key": "{}"},
        "google": {"X-Goog-Api-Key": "{}"},
        "anywhere": {"X-Api-Key": "{}", "X-Unheard-Of": "token={};"},
        "own key": {"X-Coder-AI-Governance-Token": "{}", "Authorization": "Bearer sk-own", "Api-Key": "{}"},
    }
    for case, headers in cases.items():
        sent = {name: value.format(running.token) for name, value in headers.items()}
        response = await running.request("POST", running.path(MESSAGES), sent, MESSAGES.request_body(stream=False))
        assert response.status == 200, case
        assert [name for name, value in running.upstream.requests[-1].headers if running.token in value] == [], case
    await running.ended(len(cases))
    await running.afresh()
    # a token that is percent encoded in a header stays here
    running.upstream.play(OK)
    for calls, hyphen in enumerate(("%2D", "%2d", "%252D"), start=1):
        page = f"http://bridge/?token={running.token.replace('-', hyphen)}"
        await running.request("GET", MODELS, running.headers | {"Referer": page, "X-Page": page, "X-Percent": "50%"})
        assert len(running.upstream.requests) == calls, hyphen
        sent = running.upstream.requests[-1]
        got = (sent.header("Referer"), sent.header("X-Page"), sent.header("X-Percent"))
        assert got == ([], [], ["50%"]), hyphen
    await running.afresh()
    # an address with a token is refused and the token not repeated
    message = "The URL has a token of AI Bridge in it. Send it in a header, and revoke it if others may have seen it."
    for case, token in {"plain": running.token, "encoded": running.token.replace("-", "%2D")}.items():
        places = ("?key={}", "?a=1&access_token=Bearer%20{}", "/{}")
        for place in (*(MODELS + one for one in places), "/api/v2/aibridge/openai/v1/files/{}"):
            response = await running.request("GET", place.format(token), running.headers)
            assert (response.status, json.loads(response.body)["message"]) == (400, message), (case, place)
    assert running.upstream.requests == []


async def test_an_answer_of_a_provider_is_no_page_and_a_refusal_says_what_mends_it(running):
    # an answer of a provider is no page of the bridge
    hostile = (
        b"Content-Security-Policy: default-src *\r\nX-Content-Type-Options: no\r\nClear-Site-Data: *\r\nRefresh: 0\r\n"
        b"Service-Worker-Allowed: /\r\nAccess-Control-Allow-Origin: *\r\nLink: </x>; rel=preload\r\nNEL: {}\r\n"
        b"X-AI-Bridge-Anything: 1\r\nX-AIBridge-Actor-ID: 1\r\nCross-Origin-Opener-Policy: unsafe-none\r\n"
        b"X-Accel-Redirect: /metrics\r\nX_Accel_Expires: 9\r\nX-Accel-Limit-Rate: 1\r\nX-Sendfile: /etc/passwd\r\n"
        b"X-Lighttpd-Send-File: /etc/passwd\r\nX-Reproxy-URL: http://h/\r\nX-LiteSpeed-Location: /metrics\r\n"
    )
    running.upstream.play(HEAD + hostile + b"\r\n{}")
    response = await running.request("GET", MODELS, running.headers)
    ours = [
        "Content-Length",
        "Content-Security-Policy",
        "Content-Type",
        "Date",
        "Server-Timing",
        "X-Content-Type-Options",
    ]
    assert sorted(name for name, _ in response.headers) == ours
    assert headers_named(response, *dict(NO_PAGE)) == NO_PAGE
    await running.afresh()
    # a providers key in the place of a token is told for what it is
    key = "sk-ant-api03-0123456789abcdef"
    for name in ("Authorization", "X-Api-Key", "Api-Key", "X-Coder-AI-Governance-Token"):
        for path in (MODELS, "/api/v2/aibridge/anthropic/v1/models", "/api/v2/aibridge/users/me"):
            response = await running.request("GET", path, {name: f"Bearer {key}" if name == "Authorization" else key})
            assert (response.status, json.loads(response.body)["message"]) == (401, PROVIDER_KEY), (name, path)
            assert key[7:] not in repr(response), (name, path)
    await running.afresh()
    # what no repetition mends says so and the rest does not
    running.upstream.play(HEAD.replace(b"200 OK", b"401 X") + b"\r\n{}")
    own = running.own_key
    messages = "/api/v2/aibridge/anthropic/v1/messages"
    for method, path, headers, body, status in (
        ("POST", messages, running.headers, b"{", 400),
        ("POST", messages, {}, b"{}", 401),
        ("GET", "/api/v2/aibridge/openai/v1/conversations/c", running.headers, b"", 403),
        ("GET", "/api/v2/aibridge/anthropic/v1/x", running.headers, b"", 404),
        ("GET", messages, running.headers, b"", 405),
        ("POST", messages, running.headers | {"Content-Encoding": "br"}, b"x", 415),
        ("POST", "/api/v2/aibridge/no-key/v1/messages", running.headers, b"{}", 400),
    ):
        response = await running.request(method, path, headers, body)
        assert (response.status, response.header("x-should-retry")) == (status, "false"), path
    response = await running.request("GET", MODELS, own)
    assert (response.status, response.header("x-should-retry")) == (401, None)
    running.bridge.lifecycle.draining = True
    response = await running.request("POST", messages, running.headers, b"{}")
    assert (response.status, response.header("x-should-retry")) == (503, None)


@pytest.mark.bridge(rate_limit=5)
async def test_what_the_bridge_says_of_a_call_a_provider_does_not_say(running):
    theirs = b"X-AI-Bridge-Interception-Id: theirs\r\nX-RateLimit-Limit: 7\r\nX-RateLimit-Requests: 8\r\n"
    running.upstream.play(HEAD + theirs + b"\r\n{}")
    response = await running.call(CHAT)
    (recorded,) = await running.ended(1)
    names = ("X-AI-Bridge-Interception-Id", "X-RateLimit-Limit", "X-RateLimit-Requests")
    assert headers_named(response, *names) == [
        ("X-Ai-Bridge-Interception-Id", recorded["id"]),
        ("X-Ratelimit-Limit", "5"),
        ("X-Ratelimit-Requests", "8"),
    ]


@pytest.mark.parametrize(
    "wanted", [False, pytest.param(True, marks=pytest.mark.bridge(send_actor_headers=True))], ids=["off", "on"]
)
async def test_a_client_does_not_say_who_is_asking(running, wanted):
    running.upstream.play(OK)
    forged = ("X-AI-Bridge-Actor-ID", "X-AIBridge-Actor-ID", "X_AI_Bridge_Actor_ID", "X-AI-Bridge-Actor-Metadata-Email")
    await running.request("GET", MODELS, running.headers | dict.fromkeys(forged, "forged"))
    sent = running.upstream.requests[0].headers
    assert [name for name, value in sent if value == "forged"] == []
    actors = [(name, value) for name, value in sent if "actor" in name.lower()]
    names = ("X-AI-Bridge-Actor-ID", "X-AI-Bridge-Actor-Metadata-Username")
    assert actors == (list(zip(names, (str(running.identity.user.id), "ada"), strict=True)) if wanted else [])


async def test_why_a_provider_is_not_reached_is_in_answer_record_and_log(running, monkeypatch, caplog):
    caplog.set_level("INFO")
    provider = replace(running.bridge.providers["openai"], base_url="http://nobody.invalid/v1/")
    monkeypatch.setitem(running.bridge.providers, "openai", provider)
    response = await running.call(CHAT)
    why = "no connection to the provider: its name "
    assert response.status == 502
    assert json.loads(response.body)["message"].startswith(f"openai: {why}")
    (recorded,) = await running.ended(1)
    assert recorded["error"]["message"].startswith(why)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "handlers.dataplane.shared"]
    assert line.startswith(f"provider failed: provider=openai reason='{why}")
    assert line.endswith("' new=1 total=1")
