"""A provider that answers when a test lets it, so that a call is under way for as long as is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from uuid import uuid4

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

    def __init__(self, port: int) -> None:
        self.name = f"held-{uuid4().hex[:8]}"
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._go = Event()

    def let_go(self) -> None:
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator[HeldProvider]:
        """One that listens."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                provider._go.wait()
                body = json.dumps(ANSWER).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        provider = cls(server.server_port)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            provider.let_go()
            server.shutdown()
            thread.join()
            server.server_close()
