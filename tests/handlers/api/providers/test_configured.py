"""The configured providers, with and without calls."""

from __future__ import annotations

import pytest

CONFIGURED = "/api/v2/aibridge/providers/configured"


def key(hint, setting):
    return {"hint": hint, "setting": setting, "cooldowns": 0, "refused": None}


@pytest.mark.gen_test
async def test_providers_are_listed_with_where_their_credential_comes_from_for_a_token(running):
    # providers are listed with where their credential comes from
    of_environment = {"source": "environment", "state": "ready"}
    expected = [
        {"name": "openai", "type": "openai", "key_state": "key", "keys": [key("sk-o...-key", "openai-key")]}
        | of_environment,
        {"name": "anthropic", "type": "anthropic", "key_state": "key", "keys": [key("sk-a...-key", "anthropic-key")]}
        | of_environment,
        {"name": "keyless", "type": "openai", "key_state": "keyless", "keys": []} | of_environment,
        {"name": "own-server", "type": "openai", "key_state": "key", "keys": [key("sk...er", "provider-1-keys")]}
        | of_environment,
        {"name": "no-key", "type": "anthropic", "key_state": "no_key", "keys": []} | of_environment,
    ]
    assert await running.get(CONFIGURED) == (200, expected)
    assert await running.get(CONFIGURED, await running.user("grace")) == (200, expected)
