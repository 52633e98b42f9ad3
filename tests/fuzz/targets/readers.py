"""Responses of providers: the readers of all APIs, of errors and of compressed bodies."""

from __future__ import annotations

import gzip
import zlib

from intercept import catalog
from intercept.apis import Api, Reader, TextReader
from intercept.catalog import BY_PATH
from intercept.dialects.bedrock import converse, invoke
from intercept.dialects.drafts import MAX_PARTS, MAX_RESPONSE, MAX_TEXT
from intercept.dialects.readers import ErrorReader
from intercept.formats.content_encoding import InflatingReader, decoded
from intercept.records import Reading
from tests.fuzz.targets import cut, single_bytes
from tests.intercept.formats.event_streams import chunk, event, exception
from tests.intercept.malformed_responses import is_storable
from tests.wire.conversations import conversations

_APIS = tuple(BY_PATH.values())
_BEDROCKS = (converse.event_stream_reader, invoke.event_stream_reader, converse.body_reader, invoke.body_reader)
_OF_CONVERSATIONS = (*(api.stream_reader for api in _APIS), *(api.body_reader for api in _APIS))
_OTHERS = [
    reader
    for api in vars(catalog).values()
    if isinstance(api, Api)
    for reader in (api.stream_reader, api.body_reader)
    if reader not in {*_OF_CONVERSATIONS, *_BEDROCKS}
]
_READERS = (*_OF_CONVERSATIONS, *_BEDROCKS, ErrorReader, *dict.fromkeys(_OTHERS))
_ENCODINGS = ("", "gzip", "deflate", "br")
_SMALL = 16 * 1024


_ANSWER = (
    b'{"responseId":"r","candidates":[{"content":{"parts":[{"text":"a"},{"text":"b","thought":true},{"functionCall":{"id":"c",\
"name":"f","args":{"x":1}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,\
"thoughtsTokenCount":1,"cachedContentTokenCount":1,"totalTokenCount":6}}'
)
_INTERACTION = b'{"id":"i","status":"completed","steps":[{"type":"thought","summary":[{"type":"text","text":"t"}]},\
{"type":"function_call","id":"c","name":"f","arguments":{"x":1}},{"type":"model_output","content":[{"type":"text","text":"a"}]}],\
"usage":{"total_input_tokens":3,"total_output_tokens":2,"total_thought_tokens":1,"total_cached_tokens":1}}'
_OTHER_RESPONSES = (
    (catalog.GENERATE_CONTENT.stream_reader, b"data: " + _ANSWER + b"\r\n\r\n"),
    (catalog.GENERATE_CONTENT.body_reader, b"[" + _ANSWER + b",\n" + _ANSWER + b"]"),
    (catalog.GENERATE_CONTENT.body_reader, _ANSWER),
    (catalog.INTERACTIONS.body_reader, _INTERACTION),
    (
        catalog.INTERACTIONS.stream_reader,
        b'data: {"event_type":"interaction.completed","interaction":' + _INTERACTION + b"}\n\n",
    ),
    (
        catalog.EMBEDDINGS.body_reader,
        b'{"data":[{"embedding":[0.1]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}',
    ),
    (catalog.PREDICT.body_reader, b'{"predictions":[{"embeddings":{"statistics":{"token_count":3}}}],"metadata":{}}'),
)


def _seeds() -> list[bytes]:
    seeds = [bytes([_READERS.index(ErrorReader), 0]) + b'{"error":{"type":"t","code":"c","message":"m"}}']
    for each in conversations():
        for kind, body in enumerate((each.stream, each.body)):
            if body is not None and len(body) < _SMALL:
                number = _APIS.index(each.api) + kind * len(_APIS)
                seeds.append(bytes([number, 0]) + body)
                seeds.append(bytes([number, 1]) + gzip.compress(body, mtime=0))
                seeds.append(bytes([number, 2]) + zlib.compress(body))
    first = 2 * len(_APIS)
    streams = (event("metadata", {"usage": {"inputTokens": 1}}), chunk({"type": "message_stop"}) + exception("t", "m"))
    seeds += (bytes([first + number, 0]) + stream for number, stream in enumerate(streams))
    return [*seeds, *(bytes([_READERS.index(reader), 0]) + body for reader, body in _OTHER_RESPONSES)]


SEEDS = _seeds()
WORDS = [
    *(
        b'"id":',
        b'"type":',
        b'"usage":',
        b'"error":',
        b'"message":',
        b'"index":0',
        b'"delta":',
        b'"choices":[',
        b"null",
    ),
    *(
        b'"tool_calls":[{',
        b'"function":{',
        b'"arguments":',
        b'"finish_reason":"stop"',
        b"data: [DONE]\n\n",
        b"\n\ndata: ",
    ),
    *(b'"prompt_tokens":', b'"completion_tokens":', b'"total_tokens":', b'"prompt_tokens_details":{"cached_tokens":'),
    *(
        b'"content_block":{',
        b'"thinking":',
        b'"partial_json":',
        b'"message_delta"',
        b'"message_stop"',
        b'"output_tokens":',
    ),
    *(b'"text":"x"', b'"content":"x"', b'"text_delta"', b'"response.output_text.delta"', b'"output_text"'),
    *(b'"response.completed"', b'"output":[', b'"item":{', b'"summary":[', b'"output_index":', b'"response":{'),
    *(
        b'"usageMetadata":{',
        b'"candidates":[{',
        b'"parts":[{',
        b'"functionCall":{',
        b'"thoughtsTokenCount":',
        b'"steps":[{',
    ),
    *(rb"\ud83d", rb"\ude80", b"\xff", b"1e999", b"9223372036854775808", b'"$x":', rb'"\u0000":', b"[[[[", b"{}"),
]


def check(data: bytes) -> None:
    """A reading is bounded and fit for MongoDB, and the same wherever the bytes are cut.

    Of a body that is compressed and corrupt zlib says nothing but that, so how much of it is read depends on the cuts.
    """
    if len(data) < 2:
        return
    make, encoding, body = _READERS[data[0] % len(_READERS)], _ENCODINGS[data[1] % len(_ENCODINGS)], data[2:]
    readers = [decoded(_keeping_text(make()), encoding) for _ in range(3)]
    readings = [_reading(*each) for each in zip(readers, ([body], cut(body), single_bytes(body)), strict=True)]
    if not any(isinstance(reader, InflatingReader) and reader._lost for reader in readers):
        assert readings == [readings[0]] * 3
    for reading in readings:
        _check_bounds(reading)


def _keeping_text(reader: Reader) -> Reader:
    if isinstance(reader, TextReader):
        reader.keep_text()
    return reader


def _check_bounds(reading: Reading) -> None:
    texts = [call.input + call.tool + call.provider_tool_call_id for call in reading.tool_usages]
    texts += [thought.content for thought in reading.model_thoughts]
    assert sum(map(len, texts)) <= MAX_TEXT
    assert len(texts) <= MAX_PARTS
    if reading.response is not None:
        assert 0 < len(reading.response.text) <= MAX_RESPONSE
        texts.append(reading.response.text)
    assert is_storable([*texts, reading.response_id, *(usage.usage for usage in reading.token_usages)])
    assert reading.error is None or is_storable([reading.error.type, reading.error.message])


def _reading(reader: Reader, pieces: list[bytes]) -> Reading:
    for piece in pieces:
        reader.feed(piece)
    return reader.result()
