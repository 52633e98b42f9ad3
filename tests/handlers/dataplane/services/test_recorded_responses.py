"""The text of a response is recorded where a policy says so, of every API, and the client gets the same bytes at once."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from intercept.apis import EVENTS
from intercept.catalog import CHAT_COMPLETIONS, COMPLETIONS, CONVERSE, GENERATE_CONTENT, INVOKE, MESSAGES, RESPONSES
from intercept.recording import Keep
from limits.policies.policy import RecordingRules, SharedPolicy
from settings import ProviderSettings
from storage.accounts.users import Role
from tests.fake_upstream import CLOSE
from tests.handlers.dataplane.test_policies import hold
from tests.intercept.dialects.test_response_text import ALL, STREAMS, TEXT, delta, sse
from tests.sdk.bedrock import KEYS
from upstream.credentials.aws import AwsAuthorizer
from upstream.credentials.sigv4 import Scope
from upstream.providers.presets import ProviderType

BRIDGE = "/api/v2/aibridge"
LIST = f"{BRIDGE}/interceptions"
CHAT = f"{BRIDGE}/openai/v1/chat/completions"
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}
).encode()
PATHS = {
    CHAT_COMPLETIONS: ("openai/v1/chat/completions",) * 2,
    COMPLETIONS: ("openai/v1/completions",) * 2,
    RESPONSES: ("openai/v1/responses",) * 2,
    MESSAGES: ("anthropic/v1/messages",) * 2,
    GENERATE_CONTENT: tuple(f"gemini/v1beta/models/m:{name}" for name in ("streamGenerateContent", "generateContent")),
    CONVERSE: ("bedrock/model/m/converse-stream", "bedrock/model/m/converse"),
    INVOKE: ("bedrock/model/m/invoke-with-response-stream", "bedrock/model/m/invoke"),
}
RECORDED = {"text": TEXT, "metadata": {}}


def head(content_type, body=None):
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{length}\r\n".encode()


def keep(running, **rules):
    hold(running, SharedPolicy(recording=RecordingRules(**rules)))


@pytest.fixture
def everywhere(running):
    """The bridge before providers of all dialects."""
    providers, url = running.bridge.providers, running.upstream.url
    authorizer = AwsAuthorizer(lambda: KEYS, Scope("us-east-1", "bedrock"), lambda: datetime.now(UTC))
    providers["gemini"] = replace(providers["gemini"], base_url=url)
    providers["bedrock"] = replace(providers["bedrock"], base_url=url, authorizer=authorizer)
    return running


async def play(running, name):
    """Make a call that is answered so; return what the client gets."""
    api, content_type, body = ALL[name]
    running.upstream.scripts[:] = [(head(content_type, body) + body,)]
    path = PATHS[api][name not in STREAMS]
    response = await running.request("POST", f"{BRIDGE}/{path}", running.headers, BODY)
    assert (response.status, response.body) == (200, body), name


@pytest.mark.bridge(
    further_providers=(
        ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),
        ProviderSettings("bedrock", ProviderType.BEDROCK, "", (), region="us-east-1"),
    )
)
async def test_the_text_is_recorded_of_every_api_once_a_policy_says_so(everywhere):
    await play(everywhere, "chat")
    (without,) = await everywhere.ended(1)
    assert without["response"] is None
    keep(everywhere, responses=Keep.FULL)
    for name in ALL:
        await play(everywhere, name)
    recorded = (await everywhere.ended(1 + len(ALL)))[:-1]
    found = dict(zip(ALL, (one["response"] for one in reversed(recorded)), strict=True))
    assert found == dict.fromkeys(ALL, RECORDED)
    exported = (
        await (await everywhere.client()).request("GET", f"{LIST}/export", everywhere.headers)
    ).body.splitlines()
    assert [json.loads(line)["response"] for line in exported[:-1]] == [RECORDED] * len(ALL)


async def test_responses_and_errors_are_recorded_for_those_who_may_read_prompts(running):
    # of a stream that is cut the text is recorded that came
    keep(running, responses=Keep.REDACTED)
    begun = sse(delta(content="Ask ada@example"), delta(content=".com or"))
    running.upstream.play(head(EVENTS) + begun, CLOSE)
    response = await running.request("POST", CHAT, running.headers, BODY)
    assert response.body == begun
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_truncated"
    assert recorded["response"] == {"text": "Ask [redacted] or", "metadata": {"recording": "redacted"}}
    await running.afresh("policies")
    # a response is for those who may read prompts and reading it is audited
    keep(running, responses=Keep.FULL)
    await play(running, "chat, blocking")
    (recorded,) = await running.ended(1)
    path = f"{LIST}/{recorded['id']}"
    _, seen = await running.get(path, await running.user("rhea", Role.READER))
    assert seen["response"] == {"text": "", "metadata": {"withheld": True}}
    _, seen = await running.get(path, await running.user("audrey", Role.AUDITOR))
    assert seen["response"] == RECORDED
    await running.bridge.access.trail.flush()
    _, trail = await running.get(f"{BRIDGE}/audit")
    read = [one["actor"]["username"] for one in trail["results"] if one["action"] == "calls.read"]
    assert read == ["audrey"]


async def test_an_error_is_kept_where_no_policy_says_anything_of_responses(running):
    body = b'{"error": {"type": "invalid", "message": "xylophone"}}'
    for rules in ({"prompts": Keep.NONE}, {"responses": Keep.NONE}):
        keep(running, **rules)
        running.upstream.play(
            b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: 54\r\n\r\n" + body
        )
        await running.request("POST", CHAT, running.headers, BODY)
    restricted, kept = await running.ended(2)
    assert [one["error"]["message"] for one in (kept, restricted)] == ["xylophone", ""]
    assert kept["response"] is restricted["response"] is None
    _, explained = await running.get(f"{BRIDGE}/users/me/policy")
    assert [explained["recording"][name] for name in ("responses", "errors")] == ["none", "none"]
    keep(running, prompts=Keep.NONE)
    _, explained = await running.get(f"{BRIDGE}/users/me/policy")
    assert [explained["recording"][name] for name in ("responses", "errors")] == ["none", "full"]
