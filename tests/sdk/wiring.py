"""Connects an SDK with the scripted upstream: clients, scripted responses, and the records."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from tests.bridge import Running
from tests.fake_upstream import Step
from tests.sdk.libraries import Library, anthropic_sdk, openai_sdk
from upstream.demo import scripted
from upstream.demo.scripted import LAST_CHUNK, chunk

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What an SDK gets for https, which no bridge here speaks. Its own one reads all authorities: 7 ms for each client."""


class Wiring:
    """Makes SDK clients of a running bridge. They do not retry unless a test says so."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._clients: list[Any] = []

    def openai(self, provider: str = "openai", **settings: Any) -> Any:
        return self._keep(
            openai_sdk.AsyncOpenAI(base_url=f"{self._url}/{provider}/v1", **self._defaults(openai_sdk, settings))
        )

    def anthropic(self, provider: str = "anthropic", **settings: Any) -> Any:
        return self._keep(
            anthropic_sdk.AsyncAnthropic(base_url=f"{self._url}/{provider}", **self._defaults(anthropic_sdk, settings))
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._running.port}/api/v2/aibridge"

    def _defaults(self, sdk: Library, settings: dict[str, Any]) -> dict[str, Any]:
        http_client = sdk.DefaultAsyncHttpxClient(verify=NO_TLS)
        return {"api_key": self._running.token, "max_retries": 0, "http_client": http_client} | settings

    def _keep(self, client: Any) -> Any:
        self._clients.append(client)
        return client


def whole(response: Mapping[str, Any], status: int = 200, **headers: str) -> list[Step]:
    """Steps that answer with one JSON object; `_` in a header's name stands for `-`."""
    return [*scripted.whole(status, _spelled(headers), json.dumps(response).encode())]


def stream(events: Iterable[bytes], *end: Step, **headers: str) -> list[Step]:
    """Steps that answer with a stream of events, each in a chunk of its own, and end it in order unless told how."""
    return [scripted.stream_head(_spelled(headers)), *map(chunk, events), *(end or (LAST_CHUNK,))]


def data_events(chunks: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Events as chat completions sends them, and its `[DONE]`."""
    return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


def typed_events(events: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Events as messages and responses send them."""
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def tokens(
    input_tokens: int | None,
    output_tokens: int | None,
    *,
    read: int | None,
    write: int | None = None,
    source: str = "provider",
) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_input_tokens": read,
        "cache_write_input_tokens": write,
        "source": source,
    }


def record(provider: str, **differences: Any) -> dict[str, Any]:
    """What is expected of a record: an ordinary completed call, and where it differs."""
    return {
        "provider": provider,
        "provider_name": provider,
        "initiator": "ada",
        "model": "m",
        "streaming": False,
        "status": "completed",
        "end_reason": "completed",
        "error": None,
        "upstream_status": 200,
        "upstream_request_id": None,
        "credential_kind": "centralized",
        "token_usages": [],
        "user_prompts": [],
        "tool_usages": [],
        "model_thoughts": [],
    } | differences


def essence(recorded: dict[str, Any]) -> dict[str, Any]:
    """What a listed record says that is the same in every run."""
    kept = {name: recorded[name] for name in record("")}
    kept["initiator"] = recorded["initiator"]["username"]
    kept["token_usages"] = [{name: usage[name] for name in tokens(0, 0, read=0)} for usage in recorded["token_usages"]]
    kept["user_prompts"] = [prompt["prompt"] for prompt in recorded["user_prompts"]]
    kept["tool_usages"] = [
        (tool["provider_tool_call_id"], tool["tool"], tool["input"]) for tool in recorded["tool_usages"]
    ]
    kept["model_thoughts"] = [
        (thought["metadata"]["source"], thought["content"]) for thought in recorded["model_thoughts"]
    ]
    return kept
