"""The server under measurement, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    port: int
    pid: int

    def resident_kib(self) -> int:
        """Its memory now."""
        return self._status("VmRSS")

    def peak_kib(self) -> int:
        """The most that it ever was."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"no {name} of process {self.pid}")
        return int(found[1])


@contextmanager
def running_server(uri: str, database: str, *arguments: str) -> Iterator[Server]:
    """Run the server on a database, with further arguments on its command line."""
    with TemporaryDirectory() as data_dir:
        process = subprocess.Popen(
            [
                *(sys.executable, "server.py", "serve", *arguments),
                *("--aibridge-http-address", "127.0.0.1:0", "--aibridge-data-dir", data_dir),
            ],
            stdout=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "CODER_AIBRIDGE_MONGODB_URI": uri,
                "CODER_AIBRIDGE_MONGODB_DATABASE": database,
                "CODER_AIBRIDGE_RETENTION": "0",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            found = next(filter(None, map(_LISTENING.search, process.stderr)))
            yield Server(int(found[1]), process.pid)
        finally:
            process.terminate()
            process.communicate(timeout=60)
