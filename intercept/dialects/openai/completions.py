"""OpenAI's legacy completions, blocking and streamed. Responses have the envelope of chat completions, and no messages.

Source: OpenAI API reference, "Completions".
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.dialects.openai.chat_completions import read_stream_options
from intercept.dialects.prompts import read_prompt
from intercept.dialects.request_bodies import RequestBody, decode_request
from intercept.formats.json_text import text_of


class _Request(RequestBody):
    prompt: Raw = Raw()


_REQUEST: Final = Decoder(_Request)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says. Of several prompts none is recorded."""
    request = decode_request(body, _REQUEST, model)
    return RequestSummary(
        model=request.model,
        other_models=request.other_models,
        stream=bool(request.stream),
        max_output_tokens=request.token_limit,
        stream_options=read_stream_options(body, request),
        user_prompt=read_prompt([text_of(request.prompt)]),
    )
