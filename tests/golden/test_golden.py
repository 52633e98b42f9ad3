"""Every answer of the API as it was made, byte by byte: a scaffold for changes in how answers are made.

`UPDATE_GOLDEN=1 python -m pytest tests/golden` writes the files in `answers/` again. In them a body of JSON is indented;
that it came without spaces is checked apart. What cannot be fixed is replaced:

- UUIDs that the bridge makes (versions 4 and 7), by their number of appearance,
- tokens that the bridge makes, and their public part,
- when a cookie that is cleared has expired,
- positions in the change stream (`id:` of an event), and heartbeats of a live tail,
- the version of the bridge,
- values of the headers in `VARYING`.

Left out are, as they change for other reasons: in `/metrics` everything but names and types; the bodies of pages and
pictures; in the OpenAPI document prose and examples.
"""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from runtime import assembly
from storage.recording.outbox.batch import write_batch
from tests.golden.data import ADA, BROWSER, CALLS, EXPIRED, GRACE, NOW, REVOKED, TOKENS, seed, start_of, token_of
from tests.golden.requests import SCENARIOS
from tests.handlers.contract import Contract
from tests.storage.aggregation.linking import Clock
from tests.storage.records import counting_ids
from upstream.presets import ALL_ROUTES
from upstream.routes import ANTHROPIC_ROUTES, OPENAI_ROUTES
from version import VERSION

FOLDER = Path(__file__).parent / "answers"
VARYING = {
    *("date", "etag", "content-length", "server-timing", "retry-after", "retry-after-ms", "x-ratelimit-reset"),
    *("ratelimit", "x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset"),
}
MADE_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MADE_TOKEN = re.compile(rb"\b[a-zA-Z0-9]{10}-[a-zA-Z0-9]{22}\b")
TOKEN_ID = re.compile(rb'(?<="id": ")[a-zA-Z0-9]{10}(?=")|(?<="token_id": ")[a-zA-Z0-9]{10}(?=")')
FIXED = {one.encode() for one in (*TOKENS.values(), EXPIRED, REVOKED, BROWSER)}
PROSE = {"description", "summary", "version"}
SETTINGS = {
    "calls": {"allow_byok": False, "max_body_bytes": 2000},
    "tokens": {"tokens_per_user": 2},
    "too_many_calls": {"rate_limit": 1, "rate_window": timedelta(seconds=100)},
    "too_many_failures": {"authentication_failure_limit": 1},
}


@pytest.fixture
def clock():
    clock = Clock()
    clock.time = NOW
    return clock


@pytest.fixture
def bridge_parts(monkeypatch, clock):
    """The clock of the bridge stands still but for a second before each request."""
    monkeypatch.setattr(assembly, "now", clock)
    return {}


async def answer_of(running, request):
    """Send a request and return its answer, of live events the first."""
    running.upstream.scripts[:] = [request.upstream]
    sent = {"Authorization": f"Bearer {token_of(request.by)}"} if request.by else {}
    client = await running.client()
    await client.send(request.method, request.path, sent | dict(request.headers), request.body)
    answer = await client.head()
    if request.method == "HEAD":
        pass
    elif answer.header("Content-Type") == "text/event-stream":
        await client.piece(answer)  # it listens from now on
        started = start_of(msgspec.structs.replace(CALLS[-1][0], id=UUID(int=7)), counting_ids())
        await write_batch(running.bridge.database, [started], seconds=5)
        while b"data:" not in answer.body:
            await client.piece(answer)
    else:
        await client.rest(answer)
    client.close()
    return answer


def written(request, answer):
    """A request and its answer as the files have them."""
    who = f" by {request.by}" if request.by else ""
    sent = b"" if len(request.body) > 300 else request.body
    head = [f"> {request.method} {request.path}{who}", *([f"> {' '.join(sent.decode().split())}"] if sent else [])]
    head.append(f"< {answer.status}")
    for name, value in sorted(answer.headers):
        head.append(f"< {name}" if name.lower() in VARYING else f"< {name}: {value}")
    return "\n".join(head).encode() + b"\n" + shown_body(request, answer) + b"\n"


def shown_body(request, answer):
    body, kind = bytes(answer.body), (answer.header("Content-Type") or "").partition(";")[0]
    if request.path == "/metrics":
        return b"\n".join(sorted(line for line in body.split(b"\n") if line.startswith(b"# TYPE")))
    if request.path == "/openapi.json" and body:
        return b"\n".join(described(without_prose(json.loads(body))))
    if kind in {"text/html", "image/svg+xml"}:
        return b"..."
    if kind != "application/json" or not body:
        return body
    shown = msgspec.json.format(body, indent=2)
    assert msgspec.json.format(shown, indent=-1) == body or request.upstream
    return shown


def described(document):
    """The OpenAPI document, a line for each operation and for each component."""
    parts = document.pop("paths") | {
        name: part for kind in document.pop("components").values() for name, part in kind.items()
    }
    for name, part in (parts | {"": document}).items():
        for key, value in part.items():
            yield f"{name} {key} ".encode() + msgspec.json.encode(value)


def without_prose(node):
    if isinstance(node, list):
        return [without_prose(one) for one in node]
    if not isinstance(node, dict):
        return node
    left_out = {
        key for key, value in node.items() if key.startswith("example") or (key in PROSE and isinstance(value, str))
    }
    return {key: without_prose(value) for key, value in node.items() if key not in left_out}


def fixed(text):
    """The same without what cannot be fixed."""
    numbers = {}
    text = text.replace(VERSION.encode(), b"<version>")
    text = MADE_ID.sub(lambda found: b"<id %d>" % numbers.setdefault(found[0], len(numbers) + 1), text)
    text = MADE_TOKEN.sub(b"<token>", text)
    text = TOKEN_ID.sub(lambda found: found[0] if found[0] in FIXED else b"<token id>", text)
    text = re.sub(rb"(?m)^: heartbeat\nid: .*\n\n", b"", text)
    text = re.sub(rb"(?m)^id: .*$", b"id: <position>", text)
    text = re.sub(rb"(?<=request may start in )[0-9hms]+", b"<time>", text)
    return re.sub(rb"expires=[^;]+ GMT", b"expires=<time>", text)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.bridge(**SETTINGS.get(name, {}))) for name in SCENARIOS]
)
@pytest.mark.gen_test
async def test_answers_are_as_they_were(running, clock, name):
    await seed(running.bridge.database)
    if name == "too_many_requests":
        shares = running.bridge.shares
        for limit, user in ((shares.live_tails, ADA), (shares.exports, ADA), (shares.requests, GRACE)):
            while limit.acquire(str(user)):
                pass
    answers = []
    for request in SCENARIOS[name]:
        clock.time += timedelta(seconds=1)
        answers.append(written(request, await answer_of(running, request)))
    text = fixed(b"\n".join(answers))
    file = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(text)
    assert text.decode().split("\n") == file.read_bytes().decode().split("\n")


def test_every_operation_has_an_answer():
    contract = Contract()
    text = "\n".join((FOLDER / f"{name}.txt").read_text() for name in SCENARIOS)
    # 426 is all that a WebSocket gets
    asked = re.findall(r"(?m)^> ([A-Z]+) (\S+).*\n(?:> .*\n)?< (?:2\d\d|426)$", text)
    answered = {(method, contract.find(method, target)[0]) for method, target in asked}
    described = {(method, path) for method, path, *_ in contract.operations()}
    # Of the providers' routes those that the providers of `tests.bridge` have; the answers of all are theirs.
    further = {route.pattern.replace("*", "{rest}") for route in set(ALL_ROUTES) - {*OPENAI_ROUTES, *ANTHROPIC_ROUTES}}
    described -= {one for one in described if one[1].partition("{provider}")[2] in further}
    assert {one for one in described - answered if not one[1].startswith("/api/experimental")} == set()
