"""Requests and responses of a benchmark, in each of two APIs, and how a request says which response it wants.

The prompt says what the upstream is to play: `bench-100x10+300` is a stream of 100 events, one every 10 ms, that begins
after 300 ms; each event carries in its text when it was sent. `bench-0x0+0` is one body of about 1.5 KB, at once.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from intercept.apis import Api
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES
from upstream.demo import chat_completions, messages
from upstream.demo.generation import DemoCall

MARK = b"@"
"""Begins the time at which an event was sent; stands nowhere else in a response."""

SENT_AT = re.compile(MARK + rb"(\d{19})")
"""That time, in nanoseconds of the machine's monotonic clock: all processes have the same."""

HISTORY_MESSAGE_BYTES = 2_000
"""How long each message of a conversation's history is."""

PROMPT = "PLAY. " + "Compare three ways to store a log of events, and say which you would choose for a small team. " * 5
TEXT = "An append-only table is the plainest of the three, and the easiest to look at when something is wrong. " * 11


class CallSpec(NamedTuple):
    """A request: its API, and the response that it wants.

    Attributes:
        events: How many the stream has; without any the response is one body.
        gap_ms: The time between two events.
        wait_ms: The time until the first byte.
        history_bytes: About how much of the request is the history of the conversation. The
            upstream does not look at it.
    """

    api: str = "chat"
    events: int = 0
    gap_ms: int = 0
    wait_ms: int = 0
    history_bytes: int = 0

    def request_body(self) -> bytes:
        """The JSON to send."""
        request = CONVERSATIONS[self.api].request_fields | {"stream": bool(self.events)}
        if self.history_bytes:
            request["messages"] = [*request["messages"], *_history(self.history_bytes)]
        return json.dumps(request).replace("PLAY", f"bench-{self.events}x{self.gap_ms}+{self.wait_ms}").encode()

    @classmethod
    def of(cls, path: str, body: bytes) -> CallSpec:
        """What a request that arrived wants; a gateway may have changed its path, spaces and order.

        Raises:
            ValueError: nothing that is known.
        """
        api = next((name for name, one in CONVERSATIONS.items() if path.endswith(one.path)), None)
        wanted = re.search(rb"bench-(\d+)x(\d+)\+(\d+)", body)
        if api is None or wanted is None:
            raise ValueError("not a benchmark's request", path, body)
        return cls(api, int(wanted[1]), int(wanted[2]), int(wanted[3]))


def _history(size: int) -> list[dict[str, str]]:
    """Pairs of an assistant's and a user's message, as an agent sends them again with each of its requests."""
    text = (TEXT * (HISTORY_MESSAGE_BYTES // len(TEXT) + 1))[:HISTORY_MESSAGE_BYTES]
    pair = [{"role": role, "content": text} for role in ("assistant", "user")]
    return pair * (size // (2 * HISTORY_MESSAGE_BYTES))


class LoadConversation(NamedTuple):
    """One API's wire format. `event` is a template for the time at which it is sent."""

    path: str
    request_fields: dict[str, Any]
    body: bytes
    opening: bytes
    event: bytes
    closing: bytes


def _conversation(api: Api, shape: ModuleType, request_fields: dict[str, Any]) -> LoadConversation:
    """What the demo provider would answer in an API, with `TEXT` in a body and one event that says when it was sent."""
    request = json.dumps(request_fields | {"stream": True, "stream_options": {"include_usage": True}})
    call = DemoCall.of(api, request.encode(), key="B4nchmark0123456789", created=1760000000)

    def saying(text: str) -> DemoCall:
        return replace(call, generation=replace(call.generation, text=text))

    events = list(shape.events(saying(f"some_words_{MARK.decode()}%019d")))
    at = next(number for number, event in enumerate(events) if MARK in event)
    return LoadConversation(
        path=api.path.removeprefix("/v1"),
        request_fields=request_fields,
        body=msgspec.json.encode(shape.body(saying(TEXT))),
        opening=b"".join(events[:at]),
        event=events[at],
        closing=b"".join(events[at + 1 :]),
    )


_SAID = {"role": "user", "content": PROMPT}
CONVERSATIONS = {
    "chat": _conversation(
        CHAT_COMPLETIONS,
        chat_completions,
        {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be brief."}, _SAID]},
    ),
    "messages": _conversation(
        MESSAGES, messages, {"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": [_SAID]}
    ),
}
