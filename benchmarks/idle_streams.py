"""Measure the memory that an open, silent stream costs the bridge.

    .venv/bin/python -m benchmarks.idle_streams [STREAMS ..]

Starts a server with an embedded MongoDB, and an upstream that sends the first event of a stream and then nothing. Clients
open the given numbers of streams, in steps. After each step the resident memory of the server is read. What the first
step costs (the code that is used for the first time, buffers that are kept) is left out of the figure for one stream.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
STEPS = (100, 1_000, 2_000, 4_000)
AT_ONCE = 50
SETTLE_SECONDS = 3.0
FILES_PER_STREAM = 2
PATH = "/api/v2/aibridge/anthropic/v1/messages"
BODY = b'{"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
EVENT = (
    b'event: message_start\ndata: {"type": "message_start", "message": {"id": "msg_1", "type": "message", '
    b'"role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}\n\n'
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (
    len(EVENT),
    EVENT,
)


class SilentUpstream(asyncio.Protocol):
    """Responds to the only request of a connection with one event, when the end of its body has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Send the event."""
        if data.endswith(BODY[-8:]):
            self._transport.write(RESPONSE)


@asynccontextmanager
async def server(upstream_port: int, folder: Path) -> AsyncIterator[tuple[int, int, str]]:
    """A server that is ready: its process id, its port and a token."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "server.py", "serve", "--demo", "--aibridge-http-address", "127.0.0.1:0"),
        *("--aibridge-data-dir", str(folder), "--aibridge-upstream-idle-timeout", "1h"),
        *("--aibridge-drain-timeout", "0"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream_port}/"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        port = 0
        while line := (await process.stdout.readline()).decode():
            if "is listening on" in line:
                port = int(line.rsplit(":", 1)[1])
            if "interceptions" in line:
                break
        yield process.pid, port, (folder / "demo-token").read_text().strip()
    finally:
        process.terminate()
        await process.communicate()


async def stream(port: int, token: str) -> asyncio.StreamWriter:
    """Open a stream and read its event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\nX-Api-Key: {token}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    await reader.readuntil(EVENT[-4:])
    return writer


def resident(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def measure(steps: tuple[int, ...]) -> None:
    """Print a row for each step."""
    upstream = await asyncio.get_running_loop().create_server(SilentUpstream, "127.0.0.1", 0, backlog=1000)
    with tempfile.TemporaryDirectory() as folder:
        async with server(upstream.sockets[0].getsockname()[1], Path(folder) / "data") as (pid, port, token):
            streams: list[asyncio.StreamWriter] = []
            first = (0, 0)
            print("| streams | resident | for each stream beyond the first step |\n|---|---|---|")
            for step in steps:
                while len(streams) < step:
                    more = min(AT_ONCE, step - len(streams))
                    streams += await asyncio.gather(*(stream(port, token) for _ in range(more)))
                await asyncio.sleep(SETTLE_SECONDS)
                now = (len(streams), resident(pid))
                each = f"{(now[1] - first[1]) / (now[0] - first[0]) / 1024:.1f} KiB" if first[0] else "-"
                first = first if first[0] else now
                print(f"| {now[0]:,} | {now[1] / 2**20:.1f} MiB | {each} |", flush=True)
            for one in streams:
                one.transport.abort()
    upstream.close()


def main() -> None:
    """Measure, with a high enough limit of open files."""
    steps = tuple(map(int, sys.argv[1:])) or STEPS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if max(steps) * FILES_PER_STREAM > hard - AT_ONCE:
        sys.exit(f"{max(steps)} streams need {max(steps) * FILES_PER_STREAM + AT_ONCE} open files; {hard} are allowed")
    asyncio.run(measure(steps))


if __name__ == "__main__":
    main()
