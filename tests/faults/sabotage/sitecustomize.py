"""Fault injection: a server whose interpreter finds this file fails where it handles something with the mark.

A reader that is given the mark fails, and so does whoever asks an answer with the header for its request id.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from marks import HEADER, MARK

from intercept.dialects.readers import BodyReader, StreamReader
from upstream.client import UpstreamResponse


class SabotageError(Exception):
    """What nobody foresees."""


def failing(method: Callable[..., Any], at: Callable[..., bool]) -> Callable[..., Any]:
    @wraps(method)
    def failing(*arguments: Any) -> Any:
        if at(*arguments):
            raise SabotageError
        return method(*arguments)

    return failing


for reader in (StreamReader, BodyReader):
    reader.feed = failing(reader.feed, lambda _reader, chunk: MARK in chunk)  # type: ignore[method-assign]
UpstreamResponse.header = failing(  # type: ignore[method-assign]
    UpstreamResponse.header,
    lambda response, name, *_: name == "request-id" and any(one == HEADER.decode() for one, _ in response.headers),
)
