"""Requests that the server refuses by itself, and what it tells the client."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import responses
from types import MappingProxyType
from typing import Self

import msgspec
from httptools import HttpParserError

from http1.headers import http_date
from intercept.refusals import Rule
from intercept.secrets import scrub_quoted

UNREADABLE = "The request cannot be read: {}."
BODY_TOO_LARGE = "its body is larger than {} bytes"
HEAD_TOO_SLOW = "its head did not come whole within {:g} seconds"
BODY_TOO_SLOW = "its body did not come whole within {:g} seconds"

STATUSES: Mapping[Rule, int] = MappingProxyType(
    {
        Rule.MALFORMED_REQUEST: 400,
        Rule.LATE_HEAD: 408,
        Rule.LATE_BODY: 408,
        Rule.BODY_TOO_LARGE: 413,
        Rule.HEAD_TOO_LARGE: 431,
        Rule.UNSUPPORTED_CODING: 501,
        Rule.UNSUPPORTED_VERSION: 505,
    }
)
"""The rules by which a connection refuses a request, each with its HTTP status."""


class MalformedRequestError(Exception):
    """The bytes are not a request, or not one that is served. The text is a phrase for the client, `rule` the kind."""

    def __init__(self, reason: str, rule: Rule = Rule.MALFORMED_REQUEST) -> None:
        super().__init__(reason)
        self.rule = rule

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return STATUSES[self.rule]

    @property
    def message(self) -> str:
        """What the client is told."""
        return scrub_quoted(UNREADABLE.format(self))

    @classmethod
    def of(cls, error: HttpParserError) -> Self:
        """Convert an error of a parser. If one of its callbacks raised this error, return that."""
        cause = error.__context__
        return cause if isinstance(cause, cls) else cls(str(error))

    def response(self, second: int) -> bytes:
        """Encode the whole response, which says that the connection is closed.

        Args:
            second: The time, in seconds since 1970.
        """
        body = msgspec.json.encode({"message": self.message})
        head = (
            f"HTTP/1.1 {self.status} {responses[self.status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\nDate: {http_date(second)}\r\n\r\n"
        )
        return head.encode() + body
