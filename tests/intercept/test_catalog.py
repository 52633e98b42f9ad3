import pytest

from intercept.apis import Api, Dialect
from intercept.catalog import BY_PATH, CHAT_COMPLETIONS, MESSAGES, RESPONSES, has_unread_models
from intercept.dialects.anthropic import messages
from intercept.dialects.openai import chat_completions, responses


@pytest.mark.parametrize(
    ("api", "name", "path", "dialect", "module"),
    [
        (CHAT_COMPLETIONS, "chat_completions", "/v1/chat/completions", Dialect.OPENAI, chat_completions),
        (RESPONSES, "responses", "/v1/responses", Dialect.OPENAI, responses),
        (MESSAGES, "messages", "/v1/messages", Dialect.ANTHROPIC, messages),
    ],
)
def test_an_api_is_its_path_and_the_readers_of_its_module(api, name, path, dialect, module):
    parts = module.parse_request, module.stream_reader, module.body_reader
    assert api == Api(name, path, dialect, *parts, caches_prompts=True)
    assert BY_PATH[path] is api


def test_no_other_path_is_recorded():
    assert set(BY_PATH) == {"/v1/chat/completions", "/v1/responses", "/v1/messages"}


def test_a_route_that_creates_batches_has_models_that_are_not_read():
    routes = ("/v1/batches", "/v1/messages/batches", "/openai/v1/batches", "/v1/messages", "/v1/batches/{id}", "")
    assert [has_unread_models(route) for route in routes] == [True, True, True, False, False, False]
