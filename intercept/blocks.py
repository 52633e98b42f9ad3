"""The blocks of a request, in the order in which a provider caches them: tools, system, messages. No text, only checksums.

A prompt cache keeps the beginning of a request: the next one is cheaper as far as its blocks are the same. So each block
leaves a checksum (CRC-32) and its length, by which two requests are compared (`first_difference`).

What clients change without changing what is cached makes no difference: marks of what is to be cached (`cache_control` of
Anthropic, `cachePoint` of Amazon), and a single text that is sent once as a list and once as a string. Source: the
references of "Prompt caching" of Anthropic, OpenAI, Google and Amazon Bedrock; the requests of Claude Code 2.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final
from zlib import crc32

from msgspec import Raw, Struct

from intercept.formats.json_text import ARRAY, UNWEIGHED_BYTES

MAX_BLOCKS: Final = 2_000
"""Blocks that are kept of a request, the first ones: a cache breaks where the first one differs."""
MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest body whose blocks are read: that takes some 10 ms."""
MAX_COMMAS: Final = 128 * 1024
"""Commas of a body whose blocks are read: so many elements of an array take 9 ms."""
MAX_ONE_TEXT: Final = 16 * 1024
"""Bytes of a message whose only text may be sent in a list or without one; a longer one differs if that changes."""
MAX_SHIFT: Final = 64
"""Blocks that may have been inserted or removed in one place; of more, a block has changed."""

_ENTRY: Final = struct.Struct(">II")
_ENTRY_BYTES: Final = _ENTRY.size
_COUNT_BYTES: Final = 2


class BlockKind(StrEnum):
    """The position of a block in a request."""

    TOOLS = "tools"
    SYSTEM = "system"
    MESSAGE = "message"


class BlockChange(StrEnum):
    """What happened to the first block that differs."""

    CHANGED = "changed"
    INSERTED = "inserted"
    REMOVED = "removed"
    REORDERED = "reordered"


class Difference(Struct, frozen=True):
    """The first block in which a request differs from an earlier one: its kind, its index among those (from 0), and how."""

    kind: BlockKind
    index: int
    change: BlockChange


class Blocks(Struct, frozen=True):
    """Checksums and lengths of the blocks of a request: of tools, of the system prompt, and of messages."""

    tools: tuple[bytes, ...] = ()
    system: tuple[bytes, ...] = ()
    messages: tuple[bytes, ...] = ()

    def pack(self) -> bytes:
        """Return them as bytes: two numbers of 2 bytes, how many are tools and system; then 8 bytes for each block."""
        counts = b"".join(len(part).to_bytes(_COUNT_BYTES) for part in (self.tools, self.system))
        return counts + b"".join((*self.tools, *self.system, *self.messages))


NO_MEMBER: Final = Raw()
_TOOLS: Final = ("tools", "functions", "toolConfig")
_SYSTEM: Final = ("system", "instructions", "systemInstruction", "system_instruction")
"""What a provider caches before the messages, by the names of all APIs."""
_MARKED: Final = b'"cache'
"""What both marks of what is to be cached begin with."""
_MARKS: Final = {
    b'"cache_control"': re.compile(rb'"cache_control"\s*:\s*(?:\{[^{}]{0,256}\}|null)'),
    b'{"cachePoint"': re.compile(rb'\{"cachePoint"\s*:\s*\{[^{}]{0,256}\}\s*\}'),
}
_COMMA: Final = re.compile(rb"\s*,?\s*")
_ONE_TEXT: Final = re.compile(
    rb'(\{(?:\s*"role"\s*:\s*"\w{0,64}"\s*,)?\s*"content"\s*:\s*)\[\s*\{\s*"type"\s*:\s*"text"\s*,\s*"text"\s*:\s*(?=")'
)
_ONE_TEXT_END: Final = re.compile(rb'"(\s*\}\s*\])(?:\s*,\s*"role"\s*:\s*"\w{0,64}")?\s*\}\Z')
_RESULT: Final = b'{"role":"user","content":[{'
_USUAL_OTHERS: Final = (_RESULT + b'"type":"tool_', _RESULT + b'"tool_use_id"', b'{"name"', b'{"type"')
"""How most blocks begin that `_ONE_TEXT` does not match: results of tools, tools, and parts of the system prompt."""
_LIST_END: Final = b"}]}"
_TEXT_END: Final = frozenset(b'" \t\n\r\f\v')
"""What stands before `_LIST_END` where the last part of a message ends with a text."""
_NEXT_PART: Final = (b'"},{"', b'"}, {"')
_END_BYTES: Final = 128


def pack_blocks(body: bytes, members: Mapping[str, Raw], messages: Sequence[Raw]) -> bytes | None:
    """Return the blocks of a request body, as `Blocks.pack` does; None where it has no messages, or too much to read at once.

    Args:
        body: The whole body.
        members: Its members.
        messages: Its messages.
    """
    if len(body) > MAX_BYTES or (len(body) > UNWEIGHED_BYTES and body.count(b",") > MAX_COMMAS):
        return None
    tools = _elements(members, _TOOLS)[:MAX_BLOCKS]
    system = _elements(members, _SYSTEM)[: MAX_BLOCKS - len(tools)]
    messages = messages[: MAX_BLOCKS - len(tools) - len(system)]
    if not messages:
        return None
    texts = [bytes(raw) for raw in (*tools, *system, *messages)]
    if body.rfind(_MARKED) >= 0:
        # From the end this search is five times as fast as from the beginning: few bytes are the first of what is looked for.
        texts = [_without_marks(text) if text.rfind(_MARKED) >= 0 else text for text in texts]
    texts = [text if text.startswith(_USUAL_OTHERS) else _as_one_text(text) for text in texts]
    numbers = [0] * (2 * len(texts))
    numbers[::2], numbers[1::2] = map(crc32, texts), map(len, texts)
    return struct.pack(f">HH{len(numbers)}I", len(tools), len(system), *numbers)


def unpack(packed: bytes) -> Blocks:
    """Read what `Blocks.pack` returned.

    Raises:
        ValueError: It is something else.
    """
    tools, system = [int.from_bytes(packed[at : at + _COUNT_BYTES]) for at in (0, _COUNT_BYTES)]
    entries = packed[2 * _COUNT_BYTES :]
    if len(packed) < 2 * _COUNT_BYTES or len(entries) % _ENTRY_BYTES or tools + system > len(entries) // _ENTRY_BYTES:
        raise ValueError("these are no blocks")
    blocks = [entries[at : at + _ENTRY_BYTES] for at in range(0, len(entries), _ENTRY_BYTES)]
    return Blocks(tuple(blocks[:tools]), tuple(blocks[tools : tools + system]), tuple(blocks[tools + system :]))


def first_difference(before: Blocks, now: Blocks) -> Difference | None:
    """Return the first block in which a request differs from an earlier one; None where it only adds messages to its end."""
    for kind, old, new in (
        (BlockKind.TOOLS, before.tools, now.tools),
        (BlockKind.SYSTEM, before.system, now.system),
        (BlockKind.MESSAGE, before.messages, now.messages),
    ):
        index = next((at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), None)
        if index is None and len(old) == len(new):
            continue
        if index is None:
            index = min(len(old), len(new))
            if kind is BlockKind.MESSAGE and len(new) > len(old):
                return None
        return Difference(kind, index, _change(old[index:], new[index:]))
    return None


def shared_messages(before: Blocks, now: Blocks) -> int:
    """Return how many messages of a request were in an earlier one too, in any place."""
    return len(set(before.messages) & set(now.messages))


def _change(old: Sequence[bytes], new: Sequence[bytes]) -> BlockChange:
    """Return the change from `old` to `new`, which differ in their first block, or of which one is empty."""
    if not old:
        return BlockChange.INSERTED
    if not new:
        return BlockChange.REMOVED
    if len(old) == len(new) and sorted(old) == sorted(new):
        return BlockChange.REORDERED
    for shift in range(1, MAX_SHIFT + 1):
        if _agree(old, new[shift:]):
            return BlockChange.INSERTED
        if _agree(old[shift:], new):
            return BlockChange.REMOVED
    return BlockChange.CHANGED


def _agree(old: Sequence[bytes], new: Sequence[bytes]) -> bool:
    """Whether two sequences begin with the same blocks, at least one, as far as both go."""
    common = min(len(old), len(new))
    return common > 0 and old[:common] == new[:common]


def _elements(members: Mapping[str, Raw], names: Iterable[str]) -> list[Raw]:
    """Return the elements of those members that are arrays, and those that are none but there; in the order of the names.

    Raises:
        ValueError: One is an array with something that is not JSON in it.
    """
    elements: list[Raw] = []
    for value in (members.get(name, NO_MEMBER) for name in names):
        begin = bytes(memoryview(value)[:5])
        if begin.startswith(b"["):
            elements += ARRAY.decode(value)
        elif begin not in (b"", b"null"):
            elements.append(value)
    return elements


def _without_marks(block: bytes) -> bytes:
    """Return a block without its marks, each with the comma before it, else with the one behind it."""
    for name, mark in _MARKS.items():
        kept: list[bytes] = []
        begin, at = 0, block.find(name)
        while at >= 0:
            if (found := mark.match(block, at)) is not None:
                before = block[begin:at].rstrip()
                kept.append(before.removesuffix(b","))
                behind = None if before.endswith(b",") else _COMMA.match(block, found.end())
                begin = (behind or found).end()
            at = block.find(name, max(begin, at + 1))
        block = b"".join((*kept, block[begin:]))
    return block


def _as_one_text(block: bytes) -> bytes:
    """Return a message whose content is a list of one text with that text as its content, and any other as it is."""
    if len(block) > MAX_ONE_TEXT:
        return block
    if block.endswith(_LIST_END) and block[-len(_LIST_END) - 1] not in _TEXT_END:
        return block
    begin = _ONE_TEXT.match(block)
    end = _ONE_TEXT_END.search(block, max(0, len(block) - _END_BYTES)) if begin else None
    if (
        begin is None
        or end is None
        or any(block.find(next_part, begin.end(), end.end()) >= 0 for next_part in _NEXT_PART)
    ):
        return block
    return begin[1] + block[begin.end() : end.start() + 1] + block[end.end(1) :]
