"""Abridges large request bodies to what is read from them, in steps, so that other requests do not wait."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Generator
from typing import Final

import msgspec

from intercept.apis import InvalidRequestError
from intercept.formats.json_patterns import find_items, finding_others
from intercept.formats.json_walk import CLOSING, WINDOW_BYTES, Body, Steps, Walk
from intercept.formats.kept_members import (
    ADDS_TOOLS,
    ARRAYS,
    AS_IT_IS,
    FUSION,
    INNERMOST_DEPTH,
    NAMING,
    NAMING_DEPTH,
    OBJECTS,
    ONCE,
    OPENROUTER,
    OTHER_DEPTH,
    SIZED,
    SMALL_AS_IT_IS,
    TEXTS,
    TOOLS,
    WANTED,
)

MAX_TEXT: Final = 256 * 1024 + 1
"""Characters that are kept of a string: more than of any that is recorded, so that it can be seen that it was cut."""
MAX_TAIL_BYTES: Final = 256 * 1024
"""How much of the end of an array is kept, besides its last item."""
MAX_SHORT_TEXT: Final = 8 * 1024
"""Characters that are kept of a string that is no text of a message: of a name, a role, an id."""
MAX_HEAD_BYTES: Final = 256 * 1024
"""How much of the beginning of a conversation is kept, besides its first item."""
MAX_HEAD_ITEMS: Final = 9
"""Items that are kept of the beginning of a conversation: the first user message is among them."""
MAX_TOOLS: Final = 65
"""Tools that are kept, of those that name a model: one more than a request may name."""


class Abridged(bytes):
    """A body that was abridged: it is read at once, and need not be checked again."""


_UTF8_BYTES: Final = 256 * 1024
_TAIL_RUNS: Final = 64
_CONVERSATION_DEPTH: Final = 1

_find_others: Final = finding_others(WANTED)
# Members that name a model, and letters that are escaped, as in such names.
# As much white space as nobody writes counts as if a name stood behind it.
_MODEL: Final = re.compile(rb'"model"(?:\s{0,64}:(?:\s{0,64}"|\s{65})|\s{65})')
_OF_OPENROUTER: Final = re.compile(
    rb'"type"(?:\s{0,64}:(?:\s{0,64}"%b(?::|\\u003[aA])|\s{65})|\s{65})' % OPENROUTER.rstrip(":").encode()
)
_ESCAPED_LETTER: Final = re.compile(rb"(?<!\\)\\u00(?:6[1-9a-fA-F]|7[0-9aA])")
_LIST_OF_TOOLS: Final = re.compile(rb'"%b"' % TOOLS.encode())
_OVERLAP: Final = 256
_NAMES_MODEL: Final = re.compile(rb'"model":|"svg":|"type":[^"n]')  # or its type is no string
_OPENROUTER: Final = b'"type":"%b' % OPENROUTER.encode()


def abridged(body: Body) -> Generator[None, None, Abridged]:
    """Abridge a request body: keep what the parsers read, and cut long strings.

    That is some members, the end of each array, the beginning of the conversation, and the tools that name a model.

    Parsing what is returned gives what parsing the body would, but that models of tools within the input are unknown.

    Raises:
        InvalidRequestError: It is not JSON in UTF-8, is nested too deeply, or has a member of `ONCE` twice.
    """
    utf8 = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _UTF8_BYTES):
        try:
            utf8.decode(body[start : start + _UTF8_BYTES], final=start + _UTF8_BYTES >= len(body))
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"request body is not valid UTF-8 (after byte {start})") from error
        yield
    scan = Scan(body)
    kept = yield from scan.whole()
    if kept.startswith(b"{") and (yield from _may_add_tools(body, kept, scan)):
        kept = b'{"%b":true%b%b' % (ADDS_TOOLS.encode(), b"," * (kept != b"{}"), kept[1:])
    return Abridged(kept)


def _may_add_tools(body: Body, kept: bytes, scan: Scan) -> Generator[None, None, bool]:
    """Whether the input of a body may have tools that name a model.

    It may if there are more lists of tools than the body's own, and more models are named than in what is `kept` of the
    body, or more tools of OpenRouter than its own.
    """
    tools, models, openrouters = -scan.lists, -len(_MODEL.findall(kept)), -scan.openrouters
    for start in range(0, len(body), _UTF8_BYTES):
        window = bytes(body[start : start + _UTF8_BYTES + _OVERLAP])
        if b"\\u00" in window and _ESCAPED_LETTER.search(window):
            return True
        tools += _beginning(_LIST_OF_TOOLS, window)
        models += _beginning(_MODEL, window)
        openrouters += _beginning(_OF_OPENROUTER, window)
        yield
    return tools > 0 and (models > 0 or openrouters > 0)


def _beginning(pattern: re.Pattern[bytes], window: bytes) -> int:
    """How many matches begin in a window, without what follows it."""
    return sum(found.start() < _UTF8_BYTES for found in pattern.finditer(window))


def may_name_models(parameters: Body) -> bool:
    """Whether parameters of a tool or a plugin of OpenRouter may name a model or `FUSION`, perhaps with escapes."""
    return b"model" in parameters or FUSION.encode() in parameters or rb"\u" in parameters


class Scan(Walk):
    """A walk over a body that keeps what is read of it.

    Attributes:
        lists: How many lists of tools the body itself has, one or none.
        openrouters: How many tools of OpenRouter are in it.
    """

    def __init__(self, body: Body) -> None:
        super().__init__(body)
        self.lists = self.openrouters = 0

    def whole(self) -> Steps:
        """Abridge the body."""
        self._space()
        kept = yield from self._keep_item(0)
        self._space()
        if self.at < len(self.body):
            raise self._malformed()
        return kept

    def _keep_item(self, depth: int) -> Steps:
        """Pass a value, and return an object abridged. Nothing else is read of a conversation, or is a body."""
        if self._byte() == b"{":
            return (yield from self._keep_object(depth))
        yield from self._skip()
        return b"0"

    def _keep_member(self, key: str, depth: int) -> Steps:
        """Pass the value of a member and return it abridged; values that are not read only leave a placeholder."""
        match self._byte():
            case b"[" if (depth, key) in ARRAYS:
                return (yield from self._keep_array(depth + 1))
            case b"{" if (depth, key) in OBJECTS:
                within = INNERMOST_DEPTH if depth < 0 else OTHER_DEPTH
                return (yield from self._keep_object(NAMING_DEPTH if key in NAMING else within))
            case b'"':
                most = MAX_TEXT if (depth, key) in TEXTS else MAX_SHORT_TEXT
                return msgspec.json.encode((yield from self._string(most)))
            case b"[" | b"{" as opening:
                yield from self._skip()
                return opening + CLOSING[opening]
        return (yield from self._raw())

    def _raw(self) -> Steps:
        """Pass a value and return it unchanged, 0 if it is large."""
        start = self.at
        yield from self._skip()
        return bytes(self.body[start : self.at]) if self.at - start <= WINDOW_BYTES else b"0"

    def _raw_or_abridged(self, key: str) -> Steps:
        """Pass the value of a member of the body and return it unchanged, or abridged if it is large."""
        start = self.at
        kept = yield from self._raw()
        if self.at - start > WINDOW_BYTES:
            self.at = start
            kept = yield from self._keep_member(key, 0)
        return kept

    def _keep_object(self, depth: int) -> Steps:
        kept: dict[str, bytes] = {}
        found: set[str] = set()
        more = self._open(b"}")
        while more:
            yield from self._runs(_find_others)
            key = yield from self._key()
            if depth == 0 and (name := key.casefold()) in ONCE:  # in any case: servers in Go take `Model` for `model`
                if name in found:
                    raise InvalidRequestError(f"{name} is there more than once: parsers differ in which one counts")
                found.add(name)
            if depth == 0 and key in AS_IT_IS:
                kept[key] = yield from self._raw()
            elif depth == 0 and key == TOOLS:
                self.lists += 1
                kept[key] = yield from self._keep_tools()
            elif depth == 0 and key in SMALL_AS_IT_IS:
                kept[key] = yield from self._raw_or_abridged(key)
            elif key not in WANTED:
                yield from self._skip()
            else:
                start = self.at
                kept[key] = yield from self._keep_member(key, depth)
                if (depth, key) in SIZED and kept[key] != b"null":
                    quotes = 2 * (self.body[start : start + 1] == b'"')
                    kept[f"{key}.bytes"] = b"%d" % (self.at - start - quotes)
            more = self._goes_on(b"}")
        return b"{" + b",".join(b'"%b":%b' % (key.encode(), value) for key, value in kept.items()) + b"}"

    def _keep_tools(self) -> Steps:
        """Pass all tools and return those that name a model, abridged; 0 stands for one that cannot be read."""
        if self._byte() != b"[":
            return (yield from self._keep_member(TOOLS, 0))
        kept: list[bytes] = []
        more = self._open(b"]")
        while more:
            start = self.at
            tool = yield from self._keep_item(INNERMOST_DEPTH)
            yield
            if _OPENROUTER in tool:
                self.openrouters += 1
                if may_name_models(self.body[start : self.at]):
                    tool = b"0"
            if len(kept) < MAX_TOOLS and (tool == b"0" or _NAMES_MODEL.search(tool)):
                kept.append(tool)
            more = self._goes_on(b"]")
        return b"[" + b",".join(kept) + b"]"

    def _keep_array(self, depth: int) -> Steps:
        """Pass the whole array to find its end, then go back and keep that; of a conversation its beginning too."""
        more = self._open(b"]")
        head: list[bytes] = []
        room = MAX_HEAD_BYTES
        while more and depth == _CONVERSATION_DEPTH and len(head) < MAX_HEAD_ITEMS and (room > 0 or not head):
            head.append((yield from self._keep_item(depth + 1)))
            room -= len(head[-1])
            more = self._goes_on(b"]")
        if not more:
            return b"[" + b",".join(head) + b"]"
        began = self.at
        runs: deque[int] = deque([began], maxlen=_TAIL_RUNS)
        while more:
            runs.append(self.at)
            if self._run(find_items):
                yield
            else:
                yield from self._skip()
                more = self._goes_on(b"]")
        kept: deque[bytes] = deque()
        size, self.at, more = 0, runs[0], True
        gap = self.at > began
        while more:
            kept.append((yield from self._keep_item(depth + 1)))
            yield
            size += len(kept[-1])
            while size > MAX_TAIL_BYTES and len(kept) > 1:
                size -= len(kept.popleft())
                gap = True
            more = self._goes_on(b"]")
        return b"[" + b",".join([*head, *([b"0"] if head and gap else []), *kept]) + b"]"
