"""Requests to Amazon Bedrock, of Converse and of InvokeModel. Their path names the model.

The bodies of InvokeModel are those of the models' own APIs: of Claude messages, of Amazon Nova the same as Converse's, of
others a text under `prompt` or `inputText`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.conversations import read_conversation
from intercept.dialects.messages import read_session_hint
from intercept.dialects.prompts import read_prompt
from intercept.dialects.request_bodies import RequestBody, decode_request, last_turn, read_count, tool_call_id
from intercept.formats.json_text import read_struct, text_of
from intercept.items import Item, Items, Part


class _Request(RequestBody):
    messages: list[Raw] = field(default_factory=list)
    metadata: Raw = Raw()
    prompt: Raw = Raw()
    inputText: Raw = Raw()  # noqa: N815 - as Amazon Titan has it
    inferenceConfig: Raw = Raw()  # noqa: N815 - as Converse has it


class _InferenceConfig(Struct):
    maxTokens: Raw = Raw()  # noqa: N815 - as Converse has it

    @property
    def most(self) -> int | None:
        return read_count(self.maxTokens)


class _ToolResult(Struct, rename="camel"):
    tool_use_id: str = ""


_REQUEST: Final = Decoder(_Request)
_TOOL_RESULT: Final = Decoder(_ToolResult)
_CONFIG: Final = Decoder(_InferenceConfig)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request; `model` is what the path names.

    Raises:
        InvalidRequestError: The body cannot be relayed.
    """
    request = decode_request(body, _REQUEST, model)
    messages = Items(request.messages)
    last = last_turn(messages)
    message = last if last and last.role == "user" else None
    parts = message.parts if message else []
    texts = [message.text if message else "", *map(_text, parts)]
    answered = [answer for part in parts if (answer := _answered(part))]
    config = read_struct(request.inferenceConfig, _CONFIG)
    return RequestSummary(
        model=request.model,
        stream=bool(request.stream),
        max_output_tokens=request.most or (config.most if config else None),
        user_prompt=read_prompt([text_of(request.prompt), text_of(request.inputText), *texts]),
        answered_tool_call_id=tool_call_id(answered[-1]) if answered else None,
        session_hint=read_session_hint(request.metadata),
        conversation=read_conversation(messages, _said),
    )


def _said(message: Item) -> list[str]:
    return [message.text, *(part.text or _answered(part) for part in message.parts)]


def _text(part: Part) -> str:
    """What a part says. Converse's have no type."""
    return part.text if part.type in {"", "text"} else ""


def _answered(part: Part) -> str:
    """The id of the tool call that a part answers, "" if it answers none."""
    if part.tool_use_id:
        return part.tool_use_id
    result = read_struct(part.tool_result, _TOOL_RESULT)
    return result.tool_use_id if result else ""
