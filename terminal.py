"""A line that says what is being done, for who watches at a terminal."""

from __future__ import annotations

import os
import sys
from typing import Self

_USUAL_COLUMNS = 80
_ERASE = "\r\x1b[K"


class StatusLine:
    """On standard error, where that is a terminal. What is said replaces what was; the end of the block erases it."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._stream = sys.stderr if enabled and sys.stderr.isatty() else None

    def say(self, text: str) -> None:
        """Show printable text, as much of it as fits into the line; an empty one makes room for what others print."""
        if self._stream is not None:
            columns = os.get_terminal_size(self._stream.fileno()).columns or _USUAL_COLUMNS
            self._stream.write(_ERASE + text[: columns - 1])
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.say("")
