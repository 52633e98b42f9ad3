"""The files that manage agents which do not sign in, made of the policies of a group."""

import json
import tomllib

from tests.cases import for_each

FILES = "/api/v2/aibridge/desk/files"
TELEMETRY = {"CLAUDE_CODE_ENABLE_TELEMETRY": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example:4318/"}
RESEARCH = {
    "models": {"allow": ["claude-*", "gpt-5*", "gpt-5.5", {"provider": "keyless", "model": "gemini-3-pro"}]},
    "managed_settings": {
        "env": TELEMETRY | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
        "permissions": {"disableBypassPermissionsMode": "disable"},
    },
}
BRIDGE = "https://bridge.example/api/v2/aibridge"


async def files(running, client, **query):
    asked = "&".join(f"{name}={value}" for name, value in ({"address": "https://bridge.example/"} | query).items())
    status, answer = await running.get(f"{FILES}?client={client}&{asked}")
    assert status == 200, answer
    return {one["path"]: one["content"] for one in answer["results"]}


async def test_each_agent_is_managed_by_the_policies_of_a_group(running):
    await running.bridge.groups.add("research")
    everyone = {"managed_settings": {"env": {"OTEL_LOG_USER_PROMPTS": "1"}}}
    for path, policy in (("everyone", everyone), ("groups/research", RESEARCH)):
        set_ = await running.request(
            "PUT", f"/api/v2/aibridge/policies/{path}", dict(running.headers), json.dumps(policy).encode()
        )
        assert set_.status == 200
    codex = await files(running, "codex", group="research")
    collector = "https://otel.example:4318"
    assert tomllib.loads(codex["/etc/codex/managed_config.toml"]) == {
        "model": "gpt-5.5",
        "model_provider": "aibridge",
        "model_providers": {
            "aibridge": {
                "name": "AI Bridge",
                "base_url": f"{BRIDGE}/openai/v1",
                "env_key": "AIBRIDGE_TOKEN",
                "wire_api": "responses",
            }
        },
        "otel": {
            "log_user_prompt": True,
            "exporter": {"otlp-http": {"endpoint": f"{collector}/v1/logs", "protocol": "json"}},
            "metrics_exporter": {"otlp-http": {"endpoint": f"{collector}/v1/metrics", "protocol": "json"}},
        },
    }
    assert tomllib.loads(codex["/etc/codex/requirements.toml"]) == {
        "allowed_approval_policies": ["untrusted", "on-request"],
        "allowed_sandbox_modes": ["read-only", "workspace-write"],
    }
    gemini = await files(running, "gemini", group="research", provider="google")
    method = {"selectedType": "gemini-api-key", "enforcedType": "gemini-api-key"}
    telemetry = {"enabled": True, "target": "local", "useCollector": True, "otlpEndpoint": collector}
    assert json.loads(gemini["/etc/gemini-cli/settings.json"]) == {
        "security": {"auth": method, "disableYoloMode": True},
        "model": {"name": "gpt-5.5"},  # this provider may have it: the other one is of another
        "telemetry": telemetry | {"otlpProtocol": "http", "logPrompts": True},
    }
    assert gemini["/etc/profile.d/aibridge.sh"] == f"export GOOGLE_GEMINI_BASE_URL='{BRIDGE}/google'\n"
    copilot = await files(running, "copilot", group="research")
    assert json.loads(copilot["managed-settings.json"]) == {
        "model": "gpt-5.5",
        "permissions": {"disableBypassPermissionsMode": "disable"},
        "telemetry": {"enabled": True, "endpoint": collector, "protocol": "otlp-http", "captureContent": True},
    }
    variables = f"export COPILOT_PROVIDER_BASE_URL='{BRIDGE}/openai/v1'\nexport COPILOT_MODEL='gpt-5.5'\n"
    assert copilot["/etc/profile.d/aibridge.sh"] == variables
    # of everyone alone, there is no more than the address of the bridge
    assert [*await files(running, "codex")] == ["/etc/codex/managed_config.toml"]
    assert "otel" not in (await files(running, "codex"))["/etc/codex/managed_config.toml"]


@for_each(
    ("query", "status", "wrong"),
    ("client=vim&address=https://b.example", 400, "client"),
    ("client=gemini&address=bridge.example", 400, "address"),
    ("client=codex&address=https://b.example/'%0Arm", 400, "address"),
    ("client=codex&address=https://b.example&provider=a%0Ab", 400, "provider"),
    ("client=codex&address=https://b.example&group=nobody", 404, ""),
)
async def test_what_names_no_files_is_refused(running, query, status, wrong):
    answered, answer = await running.get(f"{FILES}?{query}")
    assert (answered, [one["field"] for one in answer.get("validations", [])]) == (status, [wrong] if wrong else [])
