"""The cost of hostile clients for `http1/` and for Tornado's own HTTPServer: memory and processor time of a process each.

Each server runs in a process of its own with the same application, which answers `GET /` and collects the body of `POST /`.
An attack is one kind of client, many times. The table has the growth of the process while the connections were open, and
its processor time.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import NamedTuple

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from http1.server import BridgeServer

CONNECTIONS = 100
SECONDS = 3.0
"""How long a client goes on sending, at most."""
SAMPLE_SECONDS = 0.2
IDLE_SHARE = 0.1
"""With less of its time spent between two looks, a server has done its work."""
MIB = 1024 * 1024
_PIPELINED = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
# What each client sends, as long as the server takes it.
ATTACKS = {
    "pipelines requests and reads no answer": _PIPELINED * 40_000,
    "sends half a head of many small headers": b"GET / HTTP/1.1\r\nHost: b\r\n" + b"a:b\r\n" * 10_000,
    "sends half a head of one long header": b"GET / HTTP/1.1\r\nHost: b\r\nA: " + b"x" * 60_000,
    "sends a body in chunks of one byte": _CHUNKED + b"1\r\nx\r\n" * 5_000,
    "announces a body that never comes": b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1000\r\n\r\n",
}
SERVERS = ("http1", "tornado")


class Cost(NamedTuple):
    """The cost of an attack for a server: memory in MiB, processor time in seconds."""

    memory: float
    processor: float


class Root(RequestHandler):
    """Responds."""

    def get(self) -> None:
        """Respond to a GET."""
        self.write(b"x" * 1000)

    def post(self) -> None:
        """Respond with the size of the body."""
        self.write(str(len(self.request.body)))


async def serve(kind: str) -> None:
    """Serve until standard input ends. For each line on it, write the memory in use and the processor time so far."""
    application = Application([("/", Root)], log_function=lambda _: None)
    server = BridgeServer(application, max_connections=1000) if kind == "http1" else HTTPServer(application)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    listening.setblocking(False)
    server.add_sockets([listening])
    print(listening.getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(_resident(), used.ru_utime + used.ru_stime, flush=True)


def _resident() -> int:
    with open("/proc/self/statm") as numbers:  # noqa: PTH123 - as short as it is
        return int(numbers.read().split()[1]) * resource.getpagesize()


def measure(kind: str, sent: bytes, connections: int = CONNECTIONS, seconds: float = SECONDS) -> Cost:
    """Attack one server.

    Args:
        kind: One of `SERVERS`.
        sent: What each client sends.
        connections: How many clients.
        seconds: How long they send.
    """
    command = [sys.executable, "-m", "benchmarks.hostile_clients", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def sample() -> list[float]:
            print(file=process.stdin, flush=True)
            return [float(number) for number in process.stdout.readline().split()]  # type: ignore[union-attr]

        before = sample()
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        asyncio.run(_send_all(clients, sent, seconds))
        after = sample()
        time.sleep(SAMPLE_SECONDS)
        while (now := sample())[1] - after[1] > IDLE_SHARE * SAMPLE_SECONDS:  # it is still at work
            after = now
            time.sleep(SAMPLE_SECONDS)
        for client in clients:
            client.close()
        process.stdin.close()
        process.terminate()
    return Cost((now[0] - before[0]) / MIB, now[1] - before[1])


async def _send_all(clients: list[socket.socket], sent: bytes, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    for client in clients:
        client.setblocking(False)
    sending = [asyncio.create_task(_send(loop, client, sent)) for client in clients]
    _, stuck = await asyncio.wait(sending, timeout=seconds)
    for one in stuck:
        one.cancel()
    await asyncio.wait(sending)


async def _send(loop: asyncio.AbstractEventLoop, client: socket.socket, sent: bytes) -> None:
    with suppress(OSError, asyncio.CancelledError):
        await loop.sock_sendall(client, sent)


def main() -> None:
    """Write a table of all attacks."""
    print(f"| each of {CONNECTIONS} clients | http1/ | Tornado |\n|---|---|---|")
    for name, sent in ATTACKS.items():
        costs = [measure(kind, sent) for kind in SERVERS]
        cells = " | ".join(f"{cost.memory:.0f} MiB, {cost.processor:.2f} s" for cost in costs)
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with suppress(KeyboardInterrupt):
            asyncio.run(serve(sys.argv[1]))
    else:
        main()
