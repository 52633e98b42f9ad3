"""The names of models, clients, providers and tags in real records."""

from __future__ import annotations

import pytest

from storage.accounts.users import Role
from tests.derived import derive
from tests.handlers.api.calls import record

PREFIX = "/api/v2/aibridge/"


@pytest.mark.gen_test
async def test_names_are_those_of_visible_calls_searched_and_paged(running):
    # names are searched and paged
    for model in ("a", "gpt-5", "gpt-5-mini", "GPT", "ü"):
        await record(running, model=model)
    await derive(running.bridge.database, now=running.bridge.now)
    for query, names in {
        "q=gpt": ["gpt-5", "gpt-5-mini"],
        "q=gpt&limit=1": ["gpt-5"],
        "q=gpt&limit=1&offset=1": ["gpt-5-mini"],
        "q=%C3%BC": ["ü"],
        "q=.": [],
        "q=": ["GPT", "a", "gpt-5", "gpt-5-mini", "ü"],
        "offset=4": ["ü"],
        "offset=2147483647": [],
    }.items():
        assert await running.get(f"{PREFIX}models?{query}") == (200, names), query
    await running.afresh("rollups")
    # names are those of calls that the caller may see
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    await record(running, model="gpt-5")
    await record(running, member, model="m:1", user_agent="codex_cli_rs/0.1")
    await record(running, member, model="gpt-6")
    await derive(running.bridge.database, now=running.bridge.now)
    for headers, models, clients in (
        (running.headers, ["gpt-5", "gpt-6", "m:1"], ["Codex", "Unknown"]),
        (auditor, ["gpt-5", "gpt-6", "m:1"], ["Codex", "Unknown"]),
        (member, ["gpt-6", "m:1"], ["Codex", "Unknown"]),
    ):
        assert await running.get(PREFIX + "models", headers) == (200, models)
        assert await running.get(PREFIX + "clients", headers) == (200, clients)
        assert await running.get(PREFIX + "providers", headers) == (200, ["openai"])
    assert await running.get(PREFIX + "models", await running.user("newcomer")) == (200, [])
