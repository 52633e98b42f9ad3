"""The blocks of a request body, whichever API it is for."""

from intercept.blocks import NO_MEMBER, pack_blocks
from intercept.formats.json_text import OBJECT, read, read_array, starts_with


def read_blocks(body):
    """The packed blocks; None where there are none."""
    members = read(body, OBJECT) or {}
    messages = []
    for value in (members.get(name, NO_MEMBER) for name in ("messages", "input", "contents")):
        messages += read_array(value) if starts_with(value, b"[") else [value] * (bytes(value) not in (b"", b"null"))
    try:
        return pack_blocks(body, members, messages)
    except ValueError:
        return None
