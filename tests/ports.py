"""Ports for servers that have to be told theirs before they listen."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from random import SystemRandom

FIRST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, each a different one.

    They are below those that the system gives to whoever asks for any one: other tests connect all the time, and would
    have been given one of them before the server that it is for.
    """
    last = int(RANGE.read_text().split()[0])
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < number:
            port = SystemRandom().randrange(FIRST, last)
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        return found
