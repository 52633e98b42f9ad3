"""A provider that answers when a test lets it, so that a call is under way for as long as is wanted."""

from __future__ import annotations

from threading import Event
from uuid import uuid4

from tests.answering import Answer, AnsweringServer, Asked

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "held",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


class HeldProvider:
    """The provider of an OpenAI-compatible API at `base_url`; `let_go` has it answer, now and until `hold`."""

    def __init__(self) -> None:
        self.name = f"held-{uuid4().hex[:8]}"
        self._go = Event()
        self._server = AnsweringServer(self._answer)
        self.base_url = f"{self._server.url}/v1"

    def let_go(self) -> None:
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    def close(self) -> None:
        self.let_go()
        self._server.close()

    def _answer(self, _: Asked) -> Answer:
        self._go.wait()
        return Answer(200, ANSWER)
