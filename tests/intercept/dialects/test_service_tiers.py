"""The service tier of a response, which decides its price, is kept with its usage."""

import json

import pytest

from intercept.dialects.drafts import MAX_TIER
from intercept.dialects.gemini import interactions
from intercept.dialects.openai import chat_completions, responses
from tests.intercept import malformed_responses

OPENAI = {"input_tokens": 3, "output_tokens": 4}
CHAT = {"prompt_tokens": 3, "completion_tokens": 4}
GOOGLE = {"total_input_tokens": 3, "total_output_tokens": 4}


def usages(said):
    """What the readers keep of a usage, by API, where the response says this of its tier."""
    read = {
        "chat": (chat_completions.body_reader(), {"id": "r", "choices": [], "usage": CHAT}),
        "responses": (responses.body_reader(), {"id": "r", "usage": OPENAI}),
        "interactions": (interactions.body_reader(), {"id": "r", "status": "completed", "usage": GOOGLE}),
    }
    return {
        name: [usage.usage for usage in malformed_responses.read(reader, json.dumps(body | said).encode()).token_usages]
        for name, (reader, body) in read.items()
    }


def every_api(**more):
    return {"chat": [CHAT | more], "responses": [OPENAI | more], "interactions": [GOOGLE | more]}


@pytest.mark.parametrize("tier", ["flex", "priority", "x" * MAX_TIER])
def test_a_tier_that_is_said_beside_the_usage_is_kept_with_it(tier):
    assert usages({"service_tier": tier}) == every_api(service_tier=tier)


def test_the_default_tier_and_what_is_none_is_not_kept():
    for tier in ("default", "auto", "standard", "on_demand", "", None, 5, ["flex"], {"a": 1}, "x" * (MAX_TIER + 1)):
        assert usages({"service_tier": tier}) == every_api(), tier
    assert usages({}) == every_api()


def test_the_tier_of_the_response_stands_for_one_that_its_usage_does_not_say():
    body = json.dumps({"id": "r", "usage": CHAT | {"service_tier": None}, "service_tier": "flex"}).encode()
    (usage,) = malformed_responses.read(chat_completions.body_reader(), body).token_usages
    assert usage.usage == CHAT | {"service_tier": "flex"}
