"""The APIs that are recorded."""

from __future__ import annotations

from typing import Final

from intercept.apis import Api, Dialect
from intercept.dialects import chat_completions, gemini, messages, responses

CHAT_COMPLETIONS: Final = Api(
    name="chat_completions",
    path="/v1/chat/completions",
    dialect=Dialect.OPENAI,
    parse_request=chat_completions.parse_request,
    stream_reader=chat_completions.stream_reader,
    body_reader=chat_completions.body_reader,
)
RESPONSES: Final = Api(
    name="responses",
    path="/v1/responses",
    dialect=Dialect.OPENAI,
    parse_request=responses.parse_request,
    stream_reader=responses.stream_reader,
    body_reader=responses.body_reader,
)
MESSAGES: Final = Api(
    name="messages",
    path="/v1/messages",
    dialect=Dialect.ANTHROPIC,
    parse_request=messages.parse_request,
    stream_reader=messages.stream_reader,
    body_reader=messages.body_reader,
)
GENERATE_CONTENT: Final = Api(
    name="generate_content",
    path="/{version}/models/{model}:generateContent",
    dialect=Dialect.GEMINI,
    parse_request=gemini.parse_request,
    stream_reader=gemini.stream_reader,
    body_reader=gemini.body_reader,
)
COUNT_TOKENS: Final = Api(
    name="count_tokens",
    path="/{version}/models/{model}:countTokens",
    dialect=Dialect.GEMINI,
    parse_request=gemini.parse_plain_request,
    stream_reader=gemini.stream_reader,
    body_reader=gemini.body_reader,
)
EMBED_CONTENT: Final = Api(
    name="embed_content",
    path="/{version}/models/{model}:embedContent",
    dialect=Dialect.GEMINI,
    parse_request=gemini.parse_plain_request,
    stream_reader=gemini.stream_reader,
    body_reader=gemini.body_reader,
)
BY_PATH: Final[dict[str, Api]] = {api.path: api for api in (CHAT_COMPLETIONS, RESPONSES, MESSAGES)}
"""Those whose bodies name the model, by the path they have below a provider."""
