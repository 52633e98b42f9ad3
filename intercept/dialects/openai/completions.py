"""OpenAI's legacy completions, blocking and streamed. Responses have the envelope of chat completions, and no messages.

Source: OpenAI API reference, "Completions".
"""

from __future__ import annotations

from msgspec import Raw, field

from intercept.apis import RequestSummary
from intercept.dialects.openai.chat_completions import read_stream_options
from intercept.dialects.request_bodies import RequestBody, decode_request
from intercept.formats.json_text import text_of


class _Request(RequestBody):
    prompt: Raw = field(default_factory=Raw)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says. Of several prompts none is recorded."""
    request = decode_request(body, _Request, model)
    return request.summary([text_of(request.prompt)], stream_options=read_stream_options(request))
