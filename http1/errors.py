"""What is said of bytes that are no request."""

from __future__ import annotations

from typing import Self

from httptools import HttpParserError


class InvalidRequestError(Exception):
    """The bytes are no request, or one that is not served. The text is a phrase for the client; `status` goes with it."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status

    @classmethod
    def of(cls, error: HttpParserError) -> Self:
        """Say what a parser found: its own words, or those of this error where a callback raised it."""
        cause = error.__context__
        return cause if isinstance(cause, cls) else cls(str(error))
