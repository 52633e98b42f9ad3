"""A server in a thread of its own, for what is asked by other threads and processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: Message
    body: bytes


class Answer(NamedTuple):
    """What comes back; a body that is no bytes is sent as JSON."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = {}


class AnsweringServer:
    """Answers each request at `url` as it is told to, or breaks off where it is told nothing."""

    def __init__(self, answer: Callable[[Asked], Answer | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                found = answer(Asked(self.command, self.path, self.headers, body))
                if found is None:
                    return
                sent = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
                self.send_response(found.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(sent))}
                for name, value in {**headers, **found.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815 - its class names them

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
