"""The scripted provider as benchmarks have it: in a process of its own, with responses made beforehand.

    .venv/bin/python -m benchmarks.stand.upstream

Prints its port. Every event of a stream is a write of its own, as providers do it; a paced one leaves when it is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic_ns
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.stand.conversations import CONVERSATIONS, CallSpec
from upstream.demo.scripted import (
    LAST_CHUNK,
    Received,
    ScriptedProvider,
    Step,
    chunk,
    stream_head,
    whole,
)

_NS = 1_000_000_000


def _whole(body: bytes) -> bytes:
    return b"".join(whole(200, {}, body))


MODELS = _whole(
    msgspec.json.encode(
        {
            "object": "list",
            "data": [
                {"id": one.request_fields["model"], "object": "model", "created": 1760000000, "owned_by": "benchmarks"}
                for one in CONVERSATIONS.values()
            ],
        }
    )
)
"""For gateways that ask at their start which models there are."""

BODIES = {name: _whole(one.body) for name, one in CONVERSATIONS.items()}
OPENINGS = {name: stream_head({}) + chunk(one.opening) for name, one in CONVERSATIONS.items()}
CLOSINGS = {name: chunk(one.closing) + LAST_CHUNK for name, one in CONVERSATIONS.items()}


class Upstream(ScriptedProvider):
    """Plays what the prompt of a request says."""

    def script_of(self, request: Received) -> Iterator[Step]:
        """Return the response that a request wants."""
        path = urlsplit(request.target).path
        if request.method == "GET" and path.endswith("/models"):
            yield MODELS
            return
        try:
            spec = CallSpec.of(path, request.body)
        except ValueError as error:
            print(error, request.headers, flush=True)
            yield b"".join(whole(400, {}, b"{}"))
            return
        yield from _play(spec)


def _play(spec: CallSpec) -> Iterator[Step]:
    name, gap_ns = spec.api, spec.gap_ms * 1_000_000
    if spec.wait_ms:
        yield spec.wait_ms / 1000
    if not spec.events:
        yield BODIES[name]
        return
    yield OPENINGS[name]
    due, event = monotonic_ns(), CONVERSATIONS[name].event
    for _ in range(spec.events):
        if gap_ns:
            due += gap_ns
            yield max(0, due - monotonic_ns()) / _NS
        yield chunk(event % monotonic_ns())
    yield CLOSINGS[name]


async def _serve() -> None:
    upstream = await Upstream().start()
    print(urlsplit(upstream.url).port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
