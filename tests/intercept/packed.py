"""The blocks of a request body, whichever API it is for."""

from __future__ import annotations

from msgspec import Raw, field
from msgspec.json import Decoder

from intercept.blocks import BeforeMessages, pack_blocks
from intercept.formats.json_text import read_array, read_struct, starts_with


class _Body(BeforeMessages):
    messages: Raw = field(default_factory=Raw)
    input: Raw = field(default_factory=Raw)
    contents: Raw = field(default_factory=Raw)


_BODY = Decoder(_Body)


def read_blocks(body):
    """The packed blocks; None where there are none."""
    read = read_struct(body, _BODY) or _Body()
    messages: list[Raw] = []
    for value in (read.messages, read.input, read.contents):
        messages += read_array(value) if starts_with(value, b"[") else [value] * (bytes(value) not in (b"", b"null"))
    try:
        return pack_blocks(body, read, messages)
    except ValueError:
        return None
