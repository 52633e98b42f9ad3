"""Amazon Bedrock's InvokeModel: `POST /model/{model}/invoke` and `/model/{model}/invoke-with-response-stream`.

Bodies are those of the model's own API. Claude's are read as messages, Amazon Nova's as Converse. Of all others the tokens
are read, as Bedrock counts them: in the last chunk of a stream, and in the head of a blocking response.

Source: the Amazon Bedrock API reference, "InvokeModel", and "Inference request parameters and response fields".
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

from intercept.apis import Header, Reader, no_header
from intercept.dialects import anthropic
from intercept.dialects.bedrock import converse
from intercept.dialects.bedrock.dialect import BedrockEvents, unwrap_chunk
from intercept.dialects.drafts import Draft
from intercept.dialects.readers import BodyReader
from intercept.formats.json_text import read_struct
from intercept.formats.streams import Event
from intercept.tokens import disjoint_tokens

_METRICS: Final = b"amazon-bedrock-invocationMetrics"
_COUNTS: Final = ("inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_HEADERS: Final = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}
_MAX_DIGITS: Final = 18


class _Chunk(Struct, rename={"metrics": _METRICS.decode()}):
    """What is read from a chunk of another model than Claude, besides the metrics of the last one."""

    metrics: Raw = Raw()
    contentBlockStart: Raw = Raw()  # noqa: N815 - as they are called on the wire
    contentBlockDelta: Raw = Raw()  # noqa: N815
    messageStop: Raw = Raw()  # noqa: N815
    metadata: Raw = Raw()


_CHUNK: Final = Decoder(_Chunk)
_CLAUDES: Final = b'{"type":'


class _Stream(anthropic.MessageStream):
    """Reads a stream of chunks. The metrics of the last one have the counts that the model did not report itself.

    With tools Claude's usage and Bedrock's metrics differ, and the usage is what is billed.
    """

    def __init__(self) -> None:
        super().__init__(BedrockEvents(unwrap_chunk))

    def _add_event(self, event: Event) -> None:
        super()._add_event(event)
        if (event.data.startswith(_CLAUDES) and _METRICS not in event.data) or not event.data:
            return
        chunk = read_struct(event.data, _CHUNK) or _Chunk()
        for kind in converse.EVENTS:
            if data := getattr(chunk, kind):
                converse.add_event(kind, data, self._draft)
        if chunk.metrics:
            self._draft.complete = True
            _complete(self._draft, self._draft.read_usage(chunk.metrics))


def metered_body_reader(header: Header) -> Reader:
    """Return a reader for a blocking response, whose head has the token counts."""

    def add(body: bytes, draft: Draft) -> bool:
        if not anthropic.add_body(body, draft):
            return False
        if draft.tokens is None and b'"output"' in body:
            converse.add_body(body, draft)
        _complete(draft, _counted(header))
        return True

    return BodyReader(add)


def _complete(draft: Draft, counted: dict[str, Any]) -> None:
    """Add the counts that Bedrock has and the model did not report."""
    more = disjoint_tokens(counted, _COUNTS)
    if draft.tokens is None or more is None:
        draft.tokens = draft.tokens or more
        return
    reported = draft.tokens
    missing = {name: value for name, value in structs.asdict(more).items() if getattr(reported, name) is None}
    draft.tokens = structs.replace(reported, **missing)


def _counted(header: Header) -> dict[str, int]:
    """The token counts in the head of a response."""
    values = {name: header(field) for name, field in _HEADERS.items()}
    return {
        name: int(text)
        for name, text in values.items()
        if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    }


event_stream_reader: Final = _Stream
body_reader: Final = partial(metered_body_reader, no_header)
