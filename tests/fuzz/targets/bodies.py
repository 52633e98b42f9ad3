"""Requests of clients: the request parsers of all APIs."""

from __future__ import annotations

import json
from contextlib import suppress

from msgspec.structs import replace

from intercept.apis import Api, InvalidRequestError, RequestSummary
from intercept.catalog import BY_PATH, CONVERSE
from intercept.dialects.anthropic import MAX_SESSION_HINT
from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.request_bodies import MAX_MODEL, MAX_PROMPT
from intercept.formats.content_encoding import check_utf8
from tests.intercept.malformed_responses import is_storable
from tests.intercept.packed import read_blocks
from tests.wire.conversations import conversations

_APIS = (*BY_PATH.values(), CONVERSE)

SEEDS = [
    *(bytes([_APIS.index(each.api)]) + each.request for each in conversations()),
    b'\0{"model":"m","mod\\u0065l":"n"}',
    b'\1{"od\\u0065l":"m","mod\\u0065l":"n"}',
    b'\1{"model":"m","tools":[{"type":["a"]}]}',
    b'\2{"model":"m","input":"a","messages":[{"role":"user","content":"b"}]}',
    b'\1{"model":"m","input":[{"tools":[0]}]}',
    b'\1{"model":"m","input":[{"type":"other","tools":[{"model":"n"}]}]}',
    b'\1{"model":"m","input":[{"type":"additional_tools","tools":[{"model":"n"}]}]}',
    b'\0 {"stream":null,"model":"\\ud83d\\ude80"}',
]
WORDS = [
    *(
        b'"model":',
        rb'"mod\u0065l":',
        b'"stream":',
        b"true",
        b"false",
        b"null",
        b'"messages":[',
        b'"input":',
        b"{",
        b"}",
    ),
    *(b'"role":"user"', b'"role":"tool"', b'"role":"system"', b'"content":', b'"type":"text"', b'"text":', b"[", b"]"),
    *(b'"tool_call_id":', b'"tool_use_id":', b'"type":"tool_result"', b'"metadata":{"user_id":', b'"call_id":', b","),
    *(
        b'"function_call_output"',
        b'"input_text"',
        rb"\ud83d",
        rb"\ude80",
        rb"\u0000",
        b"\xff",
        b"1e999",
        b"-0.5E-3",
        b'\\"',
    ),
]


def check(data: bytes) -> None:
    """A body is refused, or read as other parsers of JSON read it, into what is bounded and storable."""
    api, body = _APIS[data[0] % len(_APIS) if data else 0], data[1:]
    summary = _outcome(api, body)
    if summary is None:
        return
    assert summary.model.strip()
    assert len(summary.model) <= MAX_MODEL
    assert len(summary.user_prompt.prompt if summary.user_prompt else "") <= MAX_PROMPT
    assert len(summary.answered_tool_call_id or "") <= MAX_NAME
    assert len(summary.session_hint or "") <= MAX_SESSION_HINT
    assert len(summary.conversation_id or "") <= MAX_NAME
    assert len(summary.previous_response_id or "") <= MAX_NAME
    prompt = summary.user_prompt.prompt if summary.user_prompt else ""
    assert is_storable([summary.model, prompt, summary.answered_tool_call_id or "", summary.session_hint or ""])
    with suppress(RecursionError):
        result = json.loads(body)
        assert result["model"].encode("utf-16", "surrogatepass").decode("utf-16", "replace") == summary.model
        assert bool(result.get("stream")) is summary.stream


def _outcome(api: Api, body: bytes) -> RequestSummary | None:
    try:
        check_utf8(body)
        summary = api.parse_request(body)
    except InvalidRequestError:
        return None
    assert summary.blocks in (None, read_blocks(body)) or _has_conversations(body)
    return replace(summary, blocks=None)


def _has_conversations(body: bytes) -> bool:
    """Whether it has more than one: an API reads its own, and who does not know the API reads the blocks of all."""
    return len(json.loads(body).keys() & {"messages", "input", "contents"}) > 1
