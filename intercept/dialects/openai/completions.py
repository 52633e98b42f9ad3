"""OpenAI's legacy completions, blocking and streamed. Responses have the envelope of chat completions, and no messages.

Source: OpenAI API reference, "Completions".
"""

from __future__ import annotations

from intercept.apis import RequestSummary
from intercept.dialects.openai.chat_completions import read_stream_options
from intercept.dialects.request_bodies import decode_request


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says. Of several prompts none is recorded."""
    request = decode_request(body, model)
    return request.summary([request.text("prompt")], stream_options=read_stream_options(request))
