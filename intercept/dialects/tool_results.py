"""The results of tool calls in a request: their size and whether they are errors, of those that the model has not answered yet.

A client sends its whole conversation again with each request. Only what stands behind the model's last message is new, so
only results there are read: each result is then seen once. Pure, and bounded whatever a client sends.

Sources: the references of Anthropic ("Tool use", `tool_result`), OpenAI ("Chat", "Responses"), Google (`FunctionResponse`) and
Amazon Bedrock (`ToolResultBlock`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeAlias

from msgspec import Raw

from intercept.conversations import MAX_SCANNED, Item, Items, Part, Side, side_of
from intercept.dialects.drafts import MAX_NAME
from intercept.records import ToolResult

MAX_RESULTS: Final = 64
"""Results that are kept of a request, the last ones."""

_NOTHING: Final = (b"", b"null")
_QUOTE: Final = b'"'

ResultsOf: TypeAlias = Callable[[Item], Iterable[ToolResult]]
"""Returns the results in an item, the last one first."""


def read_results(items: Items | str, results_of: ResultsOf) -> tuple[ToolResult, ...]:
    """Return the results after the model's last message, in order, one for each call.

    Args:
        items: All messages, or input items; a text has no results.
        results_of: Returns those of an item that is not of the model.
    """
    if isinstance(items, str):
        return ()
    found: dict[str, ToolResult] = {}
    for result in islice(_backwards(items, results_of), MAX_RESULTS):
        found.setdefault(result.id, result)
    return tuple(reversed(found.values()))


def answered_call(last: Item | None, results_of: ResultsOf) -> str | None:
    """Return the id of the tool call whose result stands last in the last message, None if none does."""
    return next((found.id for found in results_of(last)), None) if last else None


def results_of_message(message: Item) -> Iterator[ToolResult]:
    """Return the result that a chat message is, if it is one. The API has no mark of errors."""
    if message.role == "tool" and message.tool_call_id:
        yield result(message.tool_call_id, message.content, None)


def results_of_item(item: Item) -> Iterator[ToolResult]:
    """Return the result that an input item of responses is, if it is one. The API has no mark of errors."""
    if item.answered_call_id:
        yield result(item.answered_call_id, item.output, None)


def results_of_parts(message: Item, result_of: Callable[[Part], ToolResult | None]) -> Iterator[ToolResult]:
    """Return the results among the parts of a user's message, the last one first."""
    if message.role == "user":
        for part in reversed(message.parts):
            if (found := result_of(part)) is not None:
                yield found


def result(id_: str, content: Raw, is_error: bool | None) -> ToolResult:
    """Make a result of what its call gave."""
    return ToolResult(id=id_[:MAX_NAME], bytes=size_of(content), is_error=is_error)


def size_of(content: Raw) -> int:
    """Return the bytes of some JSON as it was sent, of a text without its quotation marks."""
    size = len(memoryview(content))
    if size <= len(b"null") and bytes(content) in _NOTHING:
        return 0
    return size - 2 if bytes(memoryview(content)[:1]) == _QUOTE else size


def _backwards(items: Items, results_of: ResultsOf) -> Iterator[ToolResult]:
    """Go back from the end to the model's last message. A prefilled beginning is not a message yet."""
    anything = False
    last = len(items) - 1
    for at in range(last, max(-1, last - MAX_SCANNED), -1):
        item = items[at]
        match side_of(item):
            case Side.CLIENT:
                anything = True
                yield from results_of(item)
            case Side.MODEL if anything:
                return
            case Side.UNKNOWN:
                return
