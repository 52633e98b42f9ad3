"""Reading an answer to its end."""

from __future__ import annotations


async def read_all(response):
    """The body of an answer."""
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)
