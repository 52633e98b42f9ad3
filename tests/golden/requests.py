"""The requests whose answers are the golden files, by the name of the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from tests.fake_upstream import CLOSE
from tests.golden.data import AUDREY, BROWSER, SECRET, TOKENS, token_of
from tests.handlers.conversations import CHAT, MESSAGES, RESPONSES


@dataclass(frozen=True)
class Request:
    """A request by a user, None for nobody, with the upstream's answer where it calls a provider."""

    method: str
    path: str
    by: str | None = "ada"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    upstream: tuple[bytes | str, ...] = ()


def _read(path, *, by="ada"):
    """Read a resource with GET and with HEAD, and without a token."""
    return [Request("GET", path, by), Request("HEAD", path, by), Request("GET", path, None)]


def _json(method, path, body=b"{}", by="ada"):
    return Request(method, path, by, body, (("Content-Type", "application/json"),))


def _changes(method, path, good, *bad):
    """Change something with JSON: as it should be, and all that can be wrong with any such request."""
    return [
        *(_json(method, path, body) for body in (good, b"{", *bad, b" " * 5000)),
        Request(method, path, body=b"{}", headers=(("Content-Type", "text/plain"),)),
        _json(method, path, by=None),
        _json(method, path, by="grace"),
    ]


API = "/api/v2/aibridge"
LIST, SESSIONS, USER_LIST, STATS = (f"{API}/{name}" for name in ("interceptions", "sessions", "users", "stats"))
GROUPS = f"{API}/groups"
SIGN_IN = f"{USER_LIST}/me/session"
UNKNOWN = UUID(int=99)
SESSION = UUID(int=1)
OWN_KEY = (("X-Coder-AI-Governance-Token", token_of("ada")), ("Authorization", "Bearer sk-own"))
ANSWERED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: %d\r\n\r\n%s"
OBJECT = ANSWERED % (2, b"{}")


def _call(conversation, upstream=(), **changes):
    provider = "anthropic" if conversation is MESSAGES else "openai"
    path, body = f"{API}/{provider}{conversation.path}", conversation.request_body(stream=False)
    return replace(Request("POST", path, body=body, upstream=upstream), **changes)


def _calls():
    for one in (CHAT, RESPONSES, MESSAGES):
        yield _call(one, (ANSWERED % (len(one.body), one.body),))
    for one in (CHAT, MESSAGES):
        yield _call(one, by=None)
        yield _call(one, body=b'{"model": 7}')
        yield _call(one, path=f"{API}/nobody{one.path}")
        yield _call(one, method="PUT")
        yield _call(one, body=b"x" * 2001)
        yield _call(one, headers=(("Content-Encoding", "br"),))
        yield _call(one, by=None, headers=OWN_KEY)
        yield _call(one, (CLOSE,))
    yield _call(MESSAGES, path=f"{API}/no-key/v1/messages")
    yield Request("GET", f"{API}/openai/v1/responses", headers=(("Upgrade", "websocket"),))
    yield Request("GET", f"{API}/openai/v1/responses/resp_9", upstream=(OBJECT,))


def _passed_on():
    """Every route that has no conversation, with a key of one's own: whose answer is the provider's."""
    responses, conversations = "/v1/responses", "/v1/conversations"
    paths = {
        responses + "/compact": "POST",
        responses + "/input_tokens": "POST",
        responses + "/resp_1": "GET HEAD DELETE",
        responses + "/resp_1/cancel": "POST",
        responses + "/resp_1/input_items": "GET HEAD",
        conversations: "POST",
        conversations + "/conv_1": "GET HEAD POST DELETE",
        conversations + "/conv_1/items": "GET HEAD POST",
        conversations + "/conv_1/items/1": "GET HEAD DELETE",
        "/v1/models": "GET HEAD",
        "/v1/models/gpt-5": "GET HEAD",
        "/v1/embeddings": "POST",
        "/v1/completions": "POST",
        "/v1/moderations": "POST",
        "/v1/images/generations": "POST",
        "/v1/images/edits": "POST",
        "/v1/images/variations": "POST",
        "/v1/audio/transcriptions": "POST",
        "/v1/audio/translations": "POST",
        "/v1/audio/speech": "POST",
        "/v1/files": "POST GET HEAD",
        "/v1/files/file-1": "GET HEAD DELETE",
        "/v1/files/file-1/content": "GET HEAD",
        "/v1/batches": "POST GET HEAD",
        "/v1/batches/batch_1": "GET HEAD",
        "/v1/batches/batch_1/cancel": "POST",
    }
    body = RESPONSES.request_body(stream=False)
    for path, methods in paths.items():
        for method in methods.split():
            sent = body if method == "POST" else b""
            yield Request(method, f"{API}/openai{path}", None, sent, OWN_KEY, (OBJECT,))
    for path in ("/v1/messages/count_tokens", "/api/event_logging/batch"):
        yield Request("POST", f"{API}/anthropic{path}", body=b"{}", upstream=(OBJECT,))
    batches = "/v1/messages/batches"
    paths = {
        batches: "POST GET HEAD",
        batches + "/msgbatch_1": "GET HEAD DELETE",
        batches + "/msgbatch_1/cancel": "POST",
        batches + "/msgbatch_1/results": "GET HEAD",
    }
    for path, methods in paths.items():
        for method in methods.split():
            sent = b"{}" if method == "POST" else b""
            yield Request(method, f"{API}/anthropic{path}", None, sent, OWN_KEY, (OBJECT,))
    for path in ("/", "/api/hello"):
        yield Request("HEAD", f"{API}/openai{path}", None)


OPERATION = [
    *(Request(method, path, None) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/dashboard/icon.svg")
    for method in ("GET", "HEAD")),
    Request("GET", "/dashboard/nothing.js", None),
    Request("GET", "/nothing", None),
    Request("POST", "/healthz", None),
]  # fmt: skip
SCENARIOS = {
    "interceptions": [
        *_read(f"{LIST}?limit=1000"),
        Request("GET", f"{LIST}?limit=2&offset=1"),
        Request("GET", f"{LIST}?limit=1&after_id={UUID(int=4)}"),
        Request("GET", f"{LIST}?q=status:in_flight"),
        Request("GET", LIST, "grace"),
        Request("GET", f"{LIST}?limit=0&offset=x&after_id=y"),
        Request("GET", f"{LIST}?q=who:me+status:none"),
        Request("GET", f"{LIST}?q=initiator:ada", "grace"),
        Request("GET", f"{LIST}?after_id={UNKNOWN}"),
        _json("POST", LIST),
        *_read(f"{LIST}/{UUID(int=1)}"),
        Request("GET", f"{LIST}/{UUID(int=1)}?q=x"),
        Request("GET", f"{LIST}/{UUID(int=1)}", "grace"),
        Request("GET", f"{LIST}/none"),
    ],
    "export": [
        *_read(f"{LIST}/export"),
        Request("GET", f"{LIST}/export?format=csv"),
        Request("GET", f"{LIST}/export?format=csv&limit=1", "grace"),
        Request("GET", f"{LIST}/export?format=xml"),
        Request("GET", f"{LIST}/export?limit=0"),
        Request("GET", f"{LIST}/export?after_id={UNKNOWN}"),
    ],
    "live": [
        Request("GET", f"{LIST}/live"),
        Request("HEAD", f"{LIST}/live"),
        Request("GET", f"{LIST}/live", None),
        Request("GET", f"{LIST}/live", headers=(("Last-Event-ID", "none"),)),
        Request("GET", f"{LIST}/live?q=x:y"),
    ],
    "sessions": [
        *_read(SESSIONS),
        Request("GET", f"{SESSIONS}?limit=1&offset=1"),
        Request("GET", SESSIONS, "grace"),
        Request("GET", f"{SESSIONS}?limit=0"),
        Request("GET", f"{SESSIONS}?after_session_id={UNKNOWN}"),
        *_read(f"{SESSIONS}/{SESSION}"),
        Request("GET", f"{SESSIONS}/{SESSION}?limit=51"),
        Request("GET", f"{SESSIONS}/{SESSION}?after_thread_id={UNKNOWN}"),
        Request("GET", f"{SESSIONS}/{SESSION}", "grace"),
    ],
    "names": [
        *(request for name in ("models", "clients", "providers") for request in _read(f"{API}/{name}")),
        Request("GET", f"{API}/models?q=cl"),
        Request("GET", f"{API}/models?limit=0"),
        *_read(f"{API}/providers/configured", by="grace"),
        Request("GET", f"{API}/providers/configured?q=x"),
    ],
    "refusals": [
        *_read(f"{API}/refusals"),
        Request("GET", f"{API}/refusals?q=rule:user_rate&limit=1", "grace"),
        Request("GET", f"{API}/refusals?q=rule:none"),
        Request("GET", f"{API}/refusals?limit=0"),
        Request("GET", f"{API}/refusals?after_id={UNKNOWN}"),
    ],
    "stats": [
        *_read(STATS),
        *(Request("GET", f"{STATS}?group_by={group}") for group in ("model", "initiator", "client", "provider")),
        Request("GET", f"{STATS}?bucket=minute&from=2026-03-01T12:00:00Z&to=2026-03-01T12:03:00Z", "grace"),
        Request("GET", f"{STATS}?bucket=year&group_by=x&from=y"),
    ],
    "limits": [*_read(f"{API}/limits"), Request("GET", f"{API}/limits", "grace"), Request("GET", f"{API}/limits?q=x")],
    "users": [
        *_read(USER_LIST),
        Request("GET", f"{USER_LIST}?limit=1&offset=1"),
        Request("GET", f"{USER_LIST}?limit=0"),
        Request("GET", USER_LIST, "grace"),
        *_read(f"{USER_LIST}/me", by="grace"),
        Request("GET", f"{USER_LIST}/me?q=x"),
        *_changes("POST", USER_LIST, b'{"username": "bob", "role": "member", "display_name": "Bob"}', b'{"role": 1, "x": ""}'),
        _json("POST", USER_LIST, b'{"username": "BOB", "role": "member"}'),
        _json("POST", USER_LIST, b'{"username": "me", "role": "member"}'),
        *_changes("PATCH", f"{USER_LIST}/bob", b'{"role": "auditor", "display_name": "Robert"}', b'{"role": "king"}'),
        _json("PATCH", f"{USER_LIST}/nobody", b'{"role": "member"}'),
        _json("PATCH", f"{USER_LIST}/ada", b'{"role": "member"}'),
        *(Request("DELETE", f"{USER_LIST}/{name}", by) for name, by in
        (("bob", None), ("bob", "grace"), ("bob", "ada"), ("bob", "ada"), ("ada", "ada"))),
        Request("GET", f"{API}/audit?limit=3"),
    ],
    "groups": [
        *_changes("POST", GROUPS, b'{"name": "research", "display_name": "R & D"}', b'{"name": 1, "x": ""}'),
        _json("POST", GROUPS, b'{"name": "RESEARCH"}'),
        _json("POST", GROUPS, b'{"name": "everyone"}'),
        *(Request("PUT", f"{GROUPS}/{path}", by) for path, by in
        (("research/members/grace", None), ("research/members/grace", "grace"), ("research/members/grace", "ada"),
        (f"Research/members/{AUDREY}", "ada"), ("research/members/nobody", "ada"), ("nobody/members/ada", "ada"))),
        *_read(GROUPS),
        *_read(f"{GROUPS}/research"),
        *_read(f"{GROUPS}/research/members"),
        *_read(f"{USER_LIST}/grace"),
        Request("GET", f"{USER_LIST}/grace", "grace"),
        Request("GET", f"{USER_LIST}/ada", "grace"),
        Request("GET", f"{USER_LIST}/nobody"),
        Request("GET", f"{GROUPS}?limit=0"),
        Request("GET", f"{GROUPS}/research/members?limit=1&offset=1"),
        *(Request("GET", f"{GROUPS}{path}", by) for path, by in
        (("", "grace"), ("/research", "grace"), ("/research/members", "grace"), ("/nobody", "ada"), ("/everyone", "ada"))),
        *_changes("PATCH", f"{GROUPS}/research", b'{"name": "lab"}', b'{"name": "everyone"}'),
        Request("DELETE", f"{GROUPS}/lab", headers=(("If-Match", '"0"'),)),
        *(Request("DELETE", f"{GROUPS}/{path}", by) for path, by in
        (("lab/members/grace", "grace"), ("lab/members/grace", "ada"), ("lab/members/nobody", "ada"),
        ("lab", None), ("lab", "grace"), ("lab", "ada"), ("lab", "ada"))),
        Request("GET", f"{API}/audit?limit=7"),
    ],
    "tokens": [
        *_read(f"{USER_LIST}/grace/tokens"),
        Request("GET", f"{USER_LIST}/me/tokens?limit=1&offset=1", "grace"),
        Request("GET", f"{USER_LIST}/grace/tokens?limit=0"),
        Request("GET", f"{USER_LIST}/ada/tokens", "grace"),
        Request("GET", f"{USER_LIST}/nobody/tokens"),
        *_changes("POST", f"{USER_LIST}/audrey/tokens", b'{"name": "laptop", "expires": "90d"}', b'{"expires": "x"}'),
        _json("POST", f"{USER_LIST}/nobody/tokens"),
        _json("POST", f"{USER_LIST}/me/tokens", by="grace"),
        _json("POST", f"{USER_LIST}/me/tokens", by="grace"),
        *(Request("DELETE", f"{USER_LIST}/{name}/tokens/{TOKENS['audrey']}", by) for name, by in
        (("audrey", None), ("audrey", "grace"), ("nobody", "ada"), ("grace", "ada"), ("audrey", "ada"))),
        Request("GET", f"{API}/audit?limit=3"),
    ],
    "sign_ins": [
        *_read(f"{USER_LIST}/grace/sessions"),
        Request("GET", f"{USER_LIST}/grace/sessions?limit=0"),
        Request("GET", f"{USER_LIST}/ada/sessions", "grace"),
        Request("GET", f"{USER_LIST}/nobody/sessions"),
        *(Request("DELETE", f"{USER_LIST}/grace/sessions/{BROWSER}", by) for by in (None, "audrey", "ada", "ada")),
        _json("POST", SIGN_IN, b'{"token": "%s"}' % token_of("ada").encode(), by=None),
        *(_json("POST", SIGN_IN, body, by=None) for body in (b"{}", b'{"token": "none"}', b"x" * 5000)),
        Request("POST", SIGN_IN, None, b"{}"),
        *(Request(method, SIGN_IN, None, b"{}", (("Origin", "https://elsewhere.example"), ("Content-Type", "application/json")))
        for method in ("POST", "DELETE")),
        Request("DELETE", SIGN_IN, None),
    ],
    "audit": [
        *_read(f"{API}/audit"),
        Request("GET", f"{API}/audit?limit=1&after_id={UUID(int=0xAD174)}"),
        Request("GET", f"{API}/audit?limit=0"),
        Request("GET", f"{API}/audit?after_id={UNKNOWN}"),
        Request("GET", f"{API}/audit", "grace"),
    ],
    "calls": list(_calls()),
    "passed_on": list(_passed_on()),
    "too_many_calls": [_call(one, (ANSWERED % (len(one.body), one.body),)) for one in (CHAT, CHAT, MESSAGES)],
    "too_many_requests": [
        Request("GET", LIST, "grace"),
        Request("GET", f"{LIST}/export"),
        Request("GET", f"{LIST}/live"),
    ],
    "too_many_failures": [
        _json("POST", SIGN_IN, b'{"token": "abcdefghij-%s"}' % SECRET.encode(), by=None) for _ in range(2)
    ],
    "operation": OPERATION,
}  # fmt: skip
