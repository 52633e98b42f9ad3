"""How the official SDKs handle refusals, and a token that they send twice."""

from __future__ import annotations

from importlib import import_module

import pytest
from tornado.httputil import HTTPHeaders

from intercept.callers import UNKNOWN, client_name
from tests.cases import for_each
from tests.sdk.libraries import anthropic_sdk, openai_sdk

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.gen_test
async def test_what_no_repetition_mends_is_asked_once(running, wiring):
    with pytest.raises(anthropic_sdk.BadRequestError, match="set provider-2-keys on the server"):
        await wiring.anthropic("no-key", max_retries=9).messages.create(model="m", max_tokens=9, messages=HELLO)
    with pytest.raises(
        openai_sdk.NotFoundError, match=r"set the base URL to http://127\.0\.0\.1:[0-9]+/api/v2/aibridge/openai/v1"
    ):
        await wiring.openai("openai/v1", max_retries=9).chat.completions.create(model="m", messages=HELLO)
    with pytest.raises(openai_sdk.AuthenticationError, match="looks like a provider's key"):
        await wiring.openai(api_key="sk-proj-0123456789").chat.completions.create(model="m", messages=HELLO)
    assert running.upstream.requests == []


@for_each("sdk", ["anthropic", "openai"])
def test_every_client_of_the_official_sdks_is_known(sdk):
    package = import_module(sdk)
    named = [name for name in dir(package) if name.lower().endswith(("client", "openai")) or "Anthropic" in name]
    exported = [getattr(package, name) for name in named]
    clients = {one.__name__ for one in exported if isinstance(one, type) and hasattr(one, "user_agent")}
    assert len(clients) >= 4
    assert [name for name in clients if client_name(HTTPHeaders({"User-Agent": f"{name}/Python 1"})) == UNKNOWN] == []
