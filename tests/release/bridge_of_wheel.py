"""A bridge that was started by the command `aibridge`, and a user of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

from tests.server_process import Lines

START_SECONDS = 120
"""How long a start may take that compiles all modules, on a machine with much else to do. Usual: 2."""


class InstalledBridge:
    """A run of the command in a folder, with these variables alone beside PATH; killed at the end of the context."""

    def __init__(self, command: Path, folder: Path, *arguments: str, **environ: str) -> None:
        environ = {"PATH": os.environ["PATH"], "AIBRIDGE_HTTP_ADDRESS": "127.0.0.1:0", **environ}
        self._process = subprocess.Popen(
            [command, *arguments], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout, self.stderr = Lines(self._process.stdout), Lines(self._process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def url(self) -> str:
        return self.stderr.find(r"AI Bridge is listening on (http://\S+)", START_SECONDS)[1]

    @property
    def token(self) -> str:
        """That of the user `demo`, as the greeting has it."""
        return self.stdout.find(r"Token of user demo, kept in .*:  (\S+)", START_SECONDS)[1]

    def get(self, path: str) -> bytes:
        return self._send(Request(f"{self.url}{path}"))

    def get_json(self, path: str) -> Any:
        return json.loads(self._send(Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token}"})))

    def call(self) -> Any:
        """Call the demo provider."""
        body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = f"{self.url}/api/v2/aibridge/demo/v1/chat/completions"
        return json.loads(self._send(Request(url, json.dumps(body).encode(), headers)))

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    @staticmethod
    def _send(request: Request) -> bytes:
        with urlopen(request, timeout=30) as response:
            body: bytes = response.read()
            return body
