"""What the connections of a server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest

from http1.errors import InvalidRequestError
from http1.heads import UnfinishedHeads


@dataclass(kw_only=True, slots=True)
class Options:
    """Connections read them at each use, so they may change while connections are open.

    Attributes:
        find_handler: Returns the handler of a request.
        on_refusal: Called for each request that a connection refuses by itself, with the reason and the client's address.
        heads: Counts the bytes of unfinished heads, of all connections.
        idle_seconds: How long a connection may wait for the complete head of a request.
        body_seconds: How long a body may take to arrive, unless its handler says otherwise.
        retiring: Whether the next response on each connection is its last one.
    """

    find_handler: Callable[[HTTPServerRequest], HTTPMessageDelegate]
    on_refusal: Callable[[InvalidRequestError, str], None]
    heads: UnfinishedHeads
    idle_seconds: float
    body_seconds: float
    retiring: bool = False
