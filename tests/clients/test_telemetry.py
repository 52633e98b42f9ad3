"""Claude Code sends its telemetry to the bridge, which joins it to the calls."""

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program
from tests.derived import derive
from upstream.demo.scripted import Step

pytestmark = pytest.mark.night

MODEL = "claude-opus-4-8"


def named(script: list[Step], request_id: str) -> list[Step]:
    """A script whose answer has the id that Anthropic gives each."""
    head, *rest = script
    assert isinstance(head, bytes)
    return [head.replace(b"\r\n", b"\r\nrequest-id: %b\r\n" % request_id.encode(), 1), *rest]


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.gen_test(timeout=90)
async def test_what_it_says_of_its_calls_and_tools_is_in_the_session(running, client, url, protocol):
    first, second = answers.messages("Bash", {"command": COMMAND, "description": "Make it"}, MODEL)
    running.upstream.scripts[:] = [named(first, "req_1"), named(second, "req_2")]
    output = await client.run(
        program("@anthropic-ai", "claude-code-*/claude"),
        *("-p", PROMPT, "--model", MODEL, "--allowedTools", "Bash"),
        ANTHROPIC_BASE_URL=f"{url}/anthropic",
        ANTHROPIC_AUTH_TOKEN=running.token,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        CLAUDE_CODE_ENABLE_TELEMETRY="1",
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"{url}/anthropic",
        OTEL_EXPORTER_OTLP_HEADERS=f"Authorization=Bearer {running.token}",
    )
    assert output == f"{ANSWER}\n"
    await running.ended(2)
    await running.bridge.client_events.flush()
    await derive(running.bridge.database)
    _, listed = await running.get("/api/v2/aibridge/sessions")
    (session,) = listed["results"]
    _, timeline = await running.get(f"/api/v2/aibridge/sessions/{session['id']}/timeline")
    said = timeline["client_report"]
    assert (said["calls"], said["compactions"]) == (2, [])
    assert said["cost_usd"] == pytest.approx(session["cost_usd"], abs=0.00001)
    costs = [(call["client_cost_usd"], call["cost_usd"]) for call in timeline["calls"]]
    assert all(said == pytest.approx(recorded, abs=0.00001) for said, recorded in costs)
    (tool,) = timeline["calls"][0]["tools"]
    report = tool["report"]
    assert (report["decision"], report["source"], report["succeeded"]) == ("accept", "config", True)
    assert report["duration_ms"] >= 0
