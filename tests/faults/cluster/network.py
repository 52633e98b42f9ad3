"""Machines of a deployment: a network namespace each where those are allowed, else all on this one's loopback interface.

```
          front 198.18.0.0/24: clients, servers, the provider
  ────┬──────────┬──────────┬──────────┬────
      │        server     server     server          each in a namespace
  this program   │          │          │
  ────┴──────────┴──────────┴──────────┴──┬───────┬───────┬──
          inner 198.18.1.0/24: the database     member  member  member
```

The two networks are bridges in a namespace of this program's own, which has no way out. A machine is cut off from the
database by taking it from the inner bridge: what it sends is lost, and nobody is told. See ip-netns(8), veth(4).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FRONT, INNER = "198.18.0", "198.18.1"
INSIDE = "AIBRIDGE_FAULTS_INSIDE"
LOOPBACK = "--loopback"
FAKE_TIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# Ways into a namespace of one's own: as root, and as anybody where that is allowed.
WAYS = (("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net"))


@dataclass(frozen=True)
class Host:
    """A machine: its addresses, and what runs a command there.

    `cable` is its connection to the database, None if it cannot be cut.
    """

    front: str = "127.0.0.1"
    inner: str = "127.0.0.1"
    through: tuple[str, ...] = ("setpriv", "--pdeathsig", "KILL")
    cable: str | None = None

    def cut(self) -> None:
        """Lose all that it sends to the database, and all that it is sent from there."""
        _ip(f"link set {self.cable} nomaster")

    def join(self) -> None:
        _ip(f"link set {self.cable} master inner")


def enter(command: Sequence[str]) -> None:
    """Run this program again inside a namespace of its own, if that is allowed; else return."""
    if INSIDE in os.environ or LOOPBACK in command:
        return
    for way in WAYS:
        allowed = subprocess.run([*way, "ip", "link", "add", "type", "veth"], check=False, capture_output=True)
        if allowed.returncode == 0:
            os.execvpe(way[0], [*way, sys.executable, *command], {**os.environ, INSIDE: "1"})


class Network:
    """The machines. `close` ends the namespaces; they also end with this process."""

    def __init__(self, machines: int) -> None:
        self.namespaces = INSIDE in os.environ
        self.front = f"{FRONT}.1" if self.namespaces else "127.0.0.1"
        self._holders: list[subprocess.Popen[bytes]] = []
        if self.namespaces:
            _ip(
                "link set lo up",
                *(line for bridge in ("front", "inner") for line in _bridge(bridge)),
                f"address add {FRONT}.1/24 dev front",
                f"address add {INNER}.1/24 dev inner",
            )
        self.hosts = [self._host(10 + number) if self.namespaces else Host() for number in range(machines)]

    def close(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.wait()

    def _host(self, number: int) -> Host:
        held = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        self._holders.append(held)
        assert held.stdout is not None
        held.stdout.readline()  # it is in its namespace
        for bridge, net in (("front", FRONT), ("inner", INNER)):
            _ip(
                f"link add {bridge}{number} type veth peer name {bridge} netns {held.pid}",
                f"link set {bridge}{number} master {bridge} up",
            )
            lines = ("link set lo up", f"address add {net}.{number}/24 dev {bridge}", f"link set {bridge} up")
            _ip(*lines, inside=held.pid)
        through = ("setpriv", "--pdeathsig", "KILL", "nsenter", "--net", "--target", str(held.pid))
        return Host(f"{FRONT}.{number}", f"{INNER}.{number}", through, f"inner{number}")


def clock(seconds: int) -> dict[str, str]:
    """Environment of a process whose wall clock is wrong by so much; its monotonic clock is not. Empty without libfaketime."""
    if not FAKE_TIME.exists():
        return {}
    return {"LD_PRELOAD": str(FAKE_TIME), "FAKETIME": f"{seconds:+d}s", "DONT_FAKE_MONOTONIC": "1"}


def _bridge(name: str) -> Sequence[str]:
    return (f"link add {name} type bridge", f"link set {name} up")


def _ip(*lines: str, inside: int | None = None) -> None:
    way = [] if inside is None else ["nsenter", "--net", "--target", str(inside)]
    subprocess.run([*way, "ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)
