"""The providers that are configured."""

from __future__ import annotations

from handlers.openapi.errors import ALWAYS
from handlers.openapi.operations import JSON, Described, body, get, response
from resources.providers import ConfiguredProvider, KeyState, ProviderKey, RefusedKey
from upstream.presets import ProviderType

_EXAMPLE = [
    ConfiguredProvider(
        "openai",
        ProviderType.OPENAI,
        KeyState.KEY,
        [ProviderKey("sk-p...wxyz", "openai-key", 0, RefusedKey(401, "2026-11-03T09:43:00.000Z", 31))],
    ),
    ConfiguredProvider("anthropic", ProviderType.ANTHROPIC, KeyState.NO_KEY, []),
]

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/providers/configured": get(
        "listConfiguredProviders",
        "The providers that may be called",
        "In the order of the settings, whether they were called or not. `key_state` is `key` where the bridge holds a key, "
        "`keyless` where the provider is called without one, `no_key` where only clients with a key of their own are served. "
        "`refused` covers all server processes on the database, `cooldowns` only the one that answers.",
        tag="names",
        responses={"200": response("The providers.", {JSON: body(list[ConfiguredProvider], providers=_EXAMPLE)})}
        | ALWAYS,
    ),
}
