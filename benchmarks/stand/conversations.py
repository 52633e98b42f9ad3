"""Requests and responses of a benchmark, in each of two APIs, and how a request says which response it wants.

The prompt says what the upstream is to play: `bench-100x10+300` is a stream of 100 events, one every 10 ms, that begins
after 300 ms; each event carries in its text when it was sent. `bench-0x0+0` is one body of about 1.5 KB, at once.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

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


class Conversation(NamedTuple):
    """One API's wire format. `event` is a template for the time at which it is sent."""

    path: str
    request_fields: dict[str, Any]
    body: bytes
    opening: bytes
    event: bytes
    closing: bytes


def _events(*events: dict[str, Any], named: bool) -> bytes:
    name = "event: {type}\n" if named else ""
    return "".join(name.format(**event) + f"data: {json.dumps(event)}\n\n" for event in events).encode()


def _text() -> str:
    return f" some words {MARK.decode()}%019d"


def _chat() -> Conversation:
    common = {"id": "chatcmpl-B4nchmark0123456789", "created": 1760000000, "model": "gpt-4o", "service_tier": "default"}
    usage = {"prompt_tokens": 120, "completion_tokens": 200, "total_tokens": 320}
    chunk = common | {"object": "chat.completion.chunk", "system_fingerprint": "fp_0123456789"}

    def delta(finish_reason: str | None = None, **fields: str) -> dict[str, Any]:
        choice = {"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish_reason}
        return chunk | {"choices": [choice], "usage": None}

    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = common | {"object": "chat.completion", "choices": [choice], "usage": usage}
    return Conversation(
        path="/chat/completions",
        request_fields={
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
        },
        body=json.dumps(body).encode(),
        opening=_events(delta(role="assistant", content=""), named=False),
        event=_events(delta(content=_text()), named=False),
        closing=_events(delta("stop"), chunk | {"choices": [], "usage": usage}, named=False) + b"data: [DONE]\n\n",
    )


def _messages() -> Conversation:
    begun: dict[str, Any] = {
        "id": "msg_B4nchmark0123456789",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 120, "output_tokens": 1},
    }
    usage = {"input_tokens": 120, "output_tokens": 200}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    body = begun | ended | {"content": [{"type": "text", "text": TEXT}], "usage": usage}
    return Conversation(
        path="/messages",
        request_fields={
            "model": "claude-sonnet-4-5",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": PROMPT}],
        },
        body=json.dumps(body).encode(),
        opening=_events(
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            named=True,
        ),
        event=_events(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": _text()}}, named=True
        ),
        closing=_events(
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 200}},
            {"type": "message_stop"},
            named=True,
        ),
    )


CONVERSATIONS = {"chat": _chat(), "messages": _messages()}
