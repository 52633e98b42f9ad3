"""What is said of bytes that are no request."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from httptools import HttpParserError

from intercept.refusals import Rule

STATUSES: Mapping[Rule, int] = MappingProxyType(
    {
        Rule.MALFORMED_REQUEST: 400,
        Rule.LATE_HEAD: 408,
        Rule.LATE_BODY: 408,
        Rule.BODY_TOO_LARGE: 413,
        Rule.HEAD_TOO_LARGE: 431,
        Rule.UNSUPPORTED_CODING: 501,
        Rule.TOO_MANY_HEADS: 503,
        Rule.UNSUPPORTED_VERSION: 505,
    }
)
"""The rules by which a connection refuses a request, each with its HTTP status."""


class InvalidRequestError(Exception):
    """The bytes are no request, or one that is not served. The text is a phrase for the client; `rule` says which kind."""

    def __init__(self, reason: str, rule: Rule = Rule.MALFORMED_REQUEST) -> None:
        super().__init__(reason)
        self.rule = rule

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return STATUSES[self.rule]

    @classmethod
    def of(cls, error: HttpParserError) -> Self:
        """Say what a parser found: its own words, or those of this error where a callback raised it."""
        cause = error.__context__
        return cause if isinstance(cause, cls) else cls(str(error))
