"""A provider that takes tokens of Microsoft Entra."""

from __future__ import annotations

from dataclasses import replace
from time import time

import pytest

from tests.handlers.conversations import CHAT
from tests.upstream.credentials.entra_endpoint import entra  # noqa: F401 - a fixture
from upstream.credentials.bearer_tokens import BearerAuthorizer, azure_fetcher

PATH = "/api/v2/aibridge/openai/v1/chat/completions"


@pytest.mark.bridge(openai_key=())
@pytest.mark.gen_test
async def test_calls_go_out_with_a_token_and_are_recorded(running, entra):  # noqa: F811 - the fixture
    providers = dict(running.bridge.providers)
    authorizer = BearerAuthorizer(azure_fetcher(entra.environ()), time)
    providers["openai"] = replace(providers["openai"], keyless=False, authorizer=authorizer)
    running.bridge.routing.table = replace(running.bridge.routing.table, providers=providers)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CHAT.body)
    running.upstream.play(head + CHAT.body)
    for _ in range(2):
        response = await running.request("POST", PATH, running.headers, CHAT.request_body(stream=False))
        assert (response.status, response.body) == (200, CHAT.body)
    assert [one.header("Authorization") for one in running.upstream.requests] == [["Bearer eyJ0.token.1"]] * 2
    assert len(entra.requests) == 1
    assert {one["credential_kind"] for one in await running.ended(2)} == {"centralized"}
