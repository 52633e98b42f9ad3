import pytest

from tests.sdk.libraries import anthropic_sdk, openai_sdk

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
MESSAGE = CHAT | {"max_tokens": 9}


async def collect(source, items):
    """Append what comes to `items`, so that it is there when the source raises."""
    async for item in source:
        items.append(item)


async def error_of(response):
    """The type and the message of an error, of either vendor."""
    error = (await response.json())["error"]
    return error["type"], error["message"]


async def test_an_unknown_route_below_messages_is_an_anthropic_error(http):
    for number, path in enumerate(("/v1/messages", "/v1/messages/batches")):
        async with http.get(path) as response:
            assert (response.status, response.headers["request-id"]) == (404, f"req_key{number}"), path
            assert "Server" not in response.headers
            assert await error_of(response) == ("not_found_error", f"Unknown request URL: GET {path}.")


UNREADABLE = {
    b"": "request body is not valid JSON: Input data was truncated",
    b"{}": "model is required: a non-empty string",
    b'{"model":1}': "request body is not usable: Expected `str`, got `int` - at `$.model`",
}


async def test_an_unreadable_body_is_refused_in_the_words_of_its_dialect(http):
    for path in "/v1/chat/completions", "/v1/responses":
        for body, message in UNREADABLE.items():
            async with http.post(path, data=body) as response:
                said = (response.status, *await error_of(response))
                assert said == (400, "invalid_request_error", message), (path, body)
    for path in "/v1/messages", "/v1/messages/count_tokens":
        async with http.post(path, data=b"{") as response:
            said = (response.status, *await error_of(response))
            assert said == (400, "invalid_request_error", UNREADABLE[b""]), path


@pytest.mark.parametrize(("model", "stream"), [("demo-error", False), ("demo-error", True)])
async def test_a_failing_model_is_a_server_error_for_either_sdk(openai, anthropic, model, stream):
    with pytest.raises(openai_sdk.InternalServerError) as failed:
        await openai.chat.completions.create(model=model, stream=stream, **CHAT)
    assert (failed.value.status_code, failed.value.request_id) == (500, "req_key0")
    assert failed.value.type == "server_error"
    with pytest.raises(openai_sdk.InternalServerError):
        await openai.responses.create(model=model, stream=stream, input="Hi")
    with pytest.raises(anthropic_sdk.APIStatusError) as overloaded:
        await anthropic.messages.create(model=model, stream=stream, **MESSAGE)
    assert (overloaded.value.status_code, overloaded.value.request_id) == (529, "req_key2")
    assert overloaded.value.body["error"]["type"] == "overloaded_error"
