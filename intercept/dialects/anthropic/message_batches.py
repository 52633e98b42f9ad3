"""The results of Anthropic's message batches: a line of JSON for each request of a batch, in any order.

Source: Anthropic API reference, "Retrieve Message Batch results".
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.dialects.anthropic.messages import usages_of
from intercept.dialects.batch_lines import BatchResult, make_result
from intercept.formats.json_text import read_struct


class _Message(Struct):
    id: str = ""
    model: str = ""
    usage: Raw = Raw()


class _Result(Struct):
    type: str = ""
    message: _Message = field(default_factory=_Message)


class _Line(Struct):
    custom_id: str = ""
    result: _Result = field(default_factory=_Result)


_LINE: Final = Decoder(_Line)


def read_line(line: bytes) -> BatchResult | None:
    """Read a line; None for a request that got no message, or one without tokens."""
    result_line = read_struct(line, _LINE)
    if result_line is None or result_line.result.type != "succeeded":
        return None
    message = result_line.result.message
    return make_result(result_line.custom_id, message.id, message.model, message.usage, usages_of)
