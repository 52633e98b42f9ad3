"""The files by which an organization manages Codex, GitHub Copilot and Gemini CLI, made of the policies of Claude Code. Pure.

They say where the bridge is, which model is the usual one, where telemetry goes, and whether approval may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum, auto
from typing import Any, Final, NamedTuple

from limits.policies.compiled import CompiledPolicy
from limits.policies.effective import Effective
from limits.policies.policy import ModelPattern

PROFILE: Final = "/etc/profile.d/aibridge.sh"
_OF_USERS: Final = "Each user sets {} to a token of their own."


class FilesOf(StrEnum):
    """An agent that files manage."""

    CODEX = auto()
    COPILOT = auto()
    GEMINI = auto()


class AgentFile(NamedTuple):
    """A file: where it belongs, what is to be known of it, and its content."""

    path: str
    about: str
    content: str


class _Telemetry(NamedTuple):
    """Where telemetry goes, in which encoding, and whether prompts are in it."""

    endpoint: str
    is_json: bool
    has_prompts: bool


def files_of(agent: FilesOf, policies: Sequence[CompiledPolicy], address: str, provider: str = "") -> list[AgentFile]:
    """The files of an agent.

    Args:
        agent: Which.
        policies: Those that hold, the widest first.
        address: The address of the bridge, as clients reach it.
        provider: Its name at the bridge; the usual one if empty.
    """
    effective = Effective(policies, "")
    provider = provider or ("gemini" if agent is FilesOf.GEMINI else "openai")
    base = f"{address}/api/v2/aibridge/{provider}"
    settings = effective.managed_settings or {}
    telemetry, model = _telemetry_of(settings), _model_of(effective, provider)
    make = {FilesOf.CODEX: _codex, FilesOf.COPILOT: _copilot, FilesOf.GEMINI: _gemini}[agent]
    return list(make(base, model, telemetry, settings))


def _codex(base: str, model: str, telemetry: _Telemetry | None, settings: Mapping[str, Any]) -> Iterator[AgentFile]:
    lines = [f"model = {_toml(model)}"] if model else []
    lines += ['model_provider = "aibridge"', "", "[model_providers.aibridge]", 'name = "AI Bridge"']
    lines += [f"base_url = {_toml(base + '/v1')}", 'env_key = "AIBRIDGE_TOKEN"', 'wire_api = "responses"']
    if telemetry is not None:
        lines += ["", "[otel]", f"log_user_prompt = {_toml(telemetry.has_prompts)}"]
        for exporter, signal in (("exporter", "logs"), ("metrics_exporter", "metrics")):
            place = f"endpoint = {_toml(f'{telemetry.endpoint}/v1/{signal}')}"
            protocol = _toml("json" if telemetry.is_json else "binary")
            lines.append(f"{exporter} = {{ otlp-http = {{ {place}, protocol = {protocol} }} }}")
    about = _OF_USERS.format("AIBRIDGE_TOKEN")
    yield AgentFile("/etc/codex/managed_config.toml", about, _text(lines))
    if _needs_approval(settings):
        approval, sandbox = ["untrusted", "on-request"], ["read-only", "workspace-write"]
        lines = [f"allowed_approval_policies = {_toml(approval)}", f"allowed_sandbox_modes = {_toml(sandbox)}"]
        yield AgentFile("/etc/codex/requirements.toml", "Nobody works without approval.", _text(lines))


def _copilot(base: str, model: str, telemetry: _Telemetry | None, settings: Mapping[str, Any]) -> Iterator[AgentFile]:
    managed: dict[str, Any] = {"model": model} if model else {}
    if _needs_approval(settings):
        managed["permissions"] = {"disableBypassPermissionsMode": "disable"}
    if telemetry is not None:
        managed["telemetry"] = {
            "enabled": True,
            "endpoint": telemetry.endpoint,
            "protocol": "otlp-http",
            "captureContent": telemetry.has_prompts,
        }
    about = "By the management of devices, or in the settings of the enterprise at GitHub."
    yield AgentFile("managed-settings.json", about, _json(managed))
    variables = {"COPILOT_PROVIDER_BASE_URL": f"{base}/v1"} | ({"COPILOT_MODEL": model} if model else {})
    yield _profile(variables, "COPILOT_PROVIDER_API_KEY")


def _gemini(base: str, model: str, telemetry: _Telemetry | None, settings: Mapping[str, Any]) -> Iterator[AgentFile]:
    method = "gemini-api-key"
    managed: dict[str, Any] = {"security": {"auth": {"selectedType": method, "enforcedType": method}}}
    if _needs_approval(settings):
        managed["security"]["disableYoloMode"] = True
    if model:
        managed["model"] = {"name": model}
    if telemetry is not None:
        managed["telemetry"] = {
            "enabled": True,
            "target": "local",
            "useCollector": True,
            "otlpEndpoint": telemetry.endpoint,
            "otlpProtocol": "http",
            "logPrompts": telemetry.has_prompts,
        }
    yield AgentFile(
        "/etc/gemini-cli/settings.json", "Only root may be able to write it and its folder.", _json(managed)
    )
    yield _profile({"GOOGLE_GEMINI_BASE_URL": base}, "GEMINI_API_KEY")


def _profile(variables: Mapping[str, str], key: str) -> AgentFile:
    lines = [f"export {name}='{value}'" for name, value in variables.items()]
    return AgentFile(PROFILE, _OF_USERS.format(key), _text(lines))


def _telemetry_of(settings: Mapping[str, Any]) -> _Telemetry | None:
    """Where the managed settings send the telemetry of Claude Code; None if they do not."""
    env = settings.get("env")
    env = env if isinstance(env, Mapping) else {}
    endpoint = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if env.get("CLAUDE_CODE_ENABLE_TELEMETRY") != "1" or not isinstance(endpoint, str):
        return None
    is_json = env.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "http/json"
    return _Telemetry(endpoint.rstrip("/"), is_json, env.get("OTEL_LOG_USER_PROMPTS") == "1")


def _needs_approval(settings: Mapping[str, Any]) -> bool:
    """Whether the managed settings keep Claude Code from working without approval."""
    permissions = settings.get("permissions")
    return isinstance(permissions, Mapping) and permissions.get("disableBypassPermissionsMode") == "disable"


def _model_of(effective: Effective, provider: str) -> str:
    """The first model that the narrowest policy allows by its whole name; "" if none is named so."""
    for one in reversed(effective.policies):
        for pattern in one.allow.patterns if one.allow else ():
            name = pattern.model if isinstance(pattern, ModelPattern) else pattern
            if not set(name) & set("*?[") and effective.refuse_model(provider, name) is None:
                return name
    return ""


def _toml(value: str | bool | Sequence[str]) -> str:
    """A value in TOML: texts, lists and truth are written as in JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
