"""How the server logs: lines for people on stderr, records as JSON on stdout, and no credential in either."""

from __future__ import annotations

import fcntl
import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from intercept.secrets import KnownSecrets, scrub

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
WORKER_LINE = "%(asctime)s %(levelname)s %(name)s: worker %(process)d: %(message)s"
RECORDS = "aibridge.records"

_log = logging.getLogger(__name__)


class ScrubbingFormatter(logging.Formatter):
    """Formats a line with its traceback, and removes credentials: known ones, and what looks like one."""

    def __init__(self, line: str, secrets: KnownSecrets) -> None:
        super().__init__(line)
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the scrubbed line."""
        return scrub(self.secrets.hide(super().format(record)))


class SharedStreamHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream that other processes write to as well, each line in one piece however long it is.

    A pipe keeps apart only what is shorter than 4 KiB (pipe(7)); a prompt may be longer.
    """

    _lost = ""
    """Why the last line was lost."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line while no other process does. The first of those that are lost is said."""
        lost_before, self._lost = self._lost, ""
        with suppress(OSError, ValueError):  # not a file, or cannot be locked: not shared with other processes
            fcntl.lockf(self.stream, fcntl.LOCK_EX)
        try:
            super().emit(record)
        finally:
            with suppress(OSError, ValueError):
                fcntl.lockf(self.stream, fcntl.LOCK_UN)
        if self._lost and not lost_before:
            _log.warning("lines for %s are lost: %s", getattr(self.stream, "name", "a stream"), self._lost)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - so it is called
        """Lose the line. What the library would print of it is not scrubbed."""
        self._lost = repr(sys.exc_info()[1])


def hide_in_logs(secrets: Iterable[str]) -> None:
    """Take these out of log lines too from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, ScrubbingFormatter):
            handler.formatter.secrets.learn(secrets)


def set_up_logging(secrets: KnownSecrets, *, worker: bool = False) -> None:
    """Send the log to stderr and record lines to stdout; from level INFO on. A worker's log says whose it is."""
    lines = SharedStreamHandler(sys.stderr)
    lines.setFormatter(ScrubbingFormatter(WORKER_LINE if worker else LINE, secrets))
    logging.basicConfig(handlers=[lines], level=logging.INFO)
    records = SharedStreamHandler(sys.stdout)
    records.setFormatter(logging.Formatter("%(message)s"))  # JSON, scrubbed before it was encoded
    logger = logging.getLogger(RECORDS)
    logger.addHandler(records)
    logger.propagate = False
