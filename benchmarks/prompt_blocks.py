"""Measure the cost of the checksums that requests leave of their blocks, as a share of a request's processor time.

    .venv/bin/python -m benchmarks.prompt_blocks [--requests N] [--rounds N]

Two servers run side by side, one without checksums. They get the same requests in turn. Their processor time is counted
until every call is counted and has its session. The median of the rounds is shown, and what `pack_blocks` takes alone, the
least of many times. That share is the sure one: the difference of two servers has the noise of both in it.

A request of Claude Code is answered in two ways: at once, which no provider does, and as providers do, with a first byte
after 0.3 s and an event every 20 ms. Of these several run at once, so that what a server does anyway is shared by many.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
from msgspec import Raw
from msgspec.json import decode

from benchmarks.gateways.comparison import upstream
from benchmarks.gateways.runners.bridge import Bridge, BridgeWithout, embedded_mongodb
from benchmarks.gateways.runners.runner import Running, Setup, free_port
from benchmarks.stand.conversations import CONVERSATIONS, TEXT
from benchmarks.stand.processes import cpu_seconds
from intercept.blocks import BeforeMessages, pack_blocks

CLAUDE_CODE_BYTES = 250_000
TOOLS = 18
PACED = 50
REPEATS, SECONDS = 20, 0.1
_POLL_SECONDS = 0.05
_MARK = {"cache_control": {"type": "ephemeral"}}


class Kind(NamedTuple):
    """A kind of request: what it is, its API and its body, and how many are sent at once."""

    name: str
    api: str
    body: bytes
    at_once: int = 1


class Request(BeforeMessages, kw_only=True):
    """What of a request its blocks are made of."""

    messages: list[Raw]


def claude_code(size: int = CLAUDE_CODE_BYTES, play: str = "bench-100x0+0") -> bytes:
    """A request like those of Claude Code: tools, a long system prompt, files, and cache marks.

    `play` is what the upstream is to play: events, milliseconds between them, and milliseconds until the first.
    """
    parameter = {"type": "string", "description": "One of its parameters, of which a sentence or two are said here."}
    schema = {"type": "object", "properties": {f"one_{at}": parameter for at in range(6)}, "required": ["one_0"]}
    text = "Reads what the user asked for, and says in a few words what it found. "
    tools = [{"name": f"Tool{at}", "description": text * 30, "input_schema": schema} for at in range(TOOLS)]
    system = [{"type": "text", "text": "You are an agent."}, {"type": "text", "text": text * 200, **_MARK}]
    request: dict[str, Any] = {
        **CONVERSATIONS["messages"].request_fields,
        "stream": True,
        "system": system,
        "tools": tools,
        "messages": [{"role": "user", "content": [{"type": "text", "text": play}]}],
    }
    file = "".join(f"{line}\\tdef function_{line}(self, one, two):\n" for line in range(90))
    step = len(json.dumps(_step(0, file)))
    for at in range((size - len(json.dumps(request))) // step):
        request["messages"] += _step(at, file)
    request["messages"][-1]["content"][0] |= _MARK
    return json.dumps(request, separators=(",", ":")).encode()


def short_chat() -> bytes:
    """The second prompt of a chat, after the first one and its response; 2 KB together."""
    request_fields = CONVERSATIONS["chat"].request_fields
    system, prompt = request_fields["messages"]
    again = {"role": "user", "content": prompt["content"].replace("PLAY", "bench-0x0+0")}
    messages = [system, prompt, {"role": "assistant", "content": TEXT[:500]}, again]
    return json.dumps(request_fields | {"messages": messages}).encode()


def _step(at: int, file: str) -> list[dict[str, Any]]:
    id_ = f"toolu_{at:024}"
    use = {"type": "tool_use", "id": id_, "name": "Tool1", "input": {"file_path": f"/home/ada/project/module_{at}.py"}}
    said = {"type": "text", "text": "I look at the next module, to see who else calls it."}
    result = {"type": "tool_result", "tool_use_id": id_, "content": file}
    return [{"role": "assistant", "content": [said, use]}, {"role": "user", "content": [result]}]


def kinds() -> tuple[Kind, ...]:
    """A long request of an agent, answered as providers do and at once, and a short one of a chat."""
    return (
        Kind("Claude Code, 100 events, one each 20 ms", "messages", claude_code(play="bench-100x20+300"), PACED),
        Kind("Claude Code, 100 events at once", "messages", claude_code()),
        Kind("a short chat", "chat", short_chat()),
    )


class Server(NamedTuple):
    """A running server, and the requests to it."""

    running: Running

    def seconds(self, kind: Kind, requests: int) -> float:
        """Processor seconds of one request of so many, with the work after its response."""
        process = self.running.process
        assert process is not None
        began = cpu_seconds(process.pid)
        with ThreadPoolExecutor(kind.at_once) as threads:
            list(threads.map(partial(self._send, kind), [requests // kind.at_once] * kind.at_once))
        while not self.running.runner.at_rest():
            time.sleep(_POLL_SECONDS)
        return (cpu_seconds(process.pid) - began) / requests

    def _send(self, kind: Kind, requests: int) -> None:
        target = self.running.target(kind.api)
        headers = {"Content-Type": "application/json", **target.headers}
        with closing(HTTPConnection("127.0.0.1", target.port)) as connection:
            for _ in range(requests):
                connection.request("POST", target.path(kind.api), kind.body, headers)
                response = connection.getresponse()
                response.read()
                if response.status != HTTPStatus.OK:
                    raise RuntimeError(f"{response.status} for {kind.name}")


@contextmanager
def servers() -> Iterator[tuple[Server, Server]]:
    """A server as usual, and one without checksums."""
    cores = os.sched_getaffinity(0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        mongodb = stack.enter_context(embedded_mongodb(folder / "mongodb"))
        port = stack.enter_context(upstream(folder, cores))
        found = []
        for runner in (Bridge(mongodb), BridgeWithout(mongodb, "prompt_blocks")):
            runner.prepare()
            own = folder / runner.name.replace(" ", "-")
            own.mkdir()
            running = runner.start(Setup(port, free_port(), own, cores))
            stack.callback(running.stop)
            found.append(Server(running))
        yield found[0], found[1]


def alone(work: Callable[[], object]) -> float:
    """The smallest processor time of some work, in seconds."""
    least = float("inf")
    for _ in range(REPEATS):
        times, began = 0, time.process_time()
        while time.process_time() < began + SECONDS:
            work()
            times += 1
        least = min(least, (time.process_time() - began) / times)
    return least


@click.command()
@click.option("--requests", default=200, help="Of each kind, server and round; a multiple of 50.")
@click.option("--rounds", default=7)
def main(requests: int, rounds: int) -> None:
    """Measure, and print a table."""
    click.echo("| request | KB | ms with | without | `pack_blocks` alone | share |\n|---|--:|--:|--:|--:|--:|")
    with servers() as both:
        for kind in kinds():
            for server in both:
                server.seconds(kind, max(requests // 4, kind.at_once))  # caches are filled
            found = [[server.seconds(kind, requests) * 1000 for server in both] for _ in range(rounds)]
            with_blocks, without = (median(times) for times in zip(*found, strict=True))
            request = decode(kind.body, type=Request)
            own = alone(partial(pack_blocks, kind.body, request, request.messages)) * 1000
            size = len(kind.body) / 1000
            times = f"{with_blocks:.2f} | {without:.2f} | {own:.4f}"
            click.echo(f"| {kind.name} | {size:.0f} | {times} | {own / without:.1%} |")


if __name__ == "__main__":
    main()
