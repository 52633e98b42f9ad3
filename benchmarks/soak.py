"""Let the bridge work for a while at half load, and say whether anything grows or is not given back.

    .venv/bin/python -m benchmarks.soak [--minutes N]

The rate is the one at which half of its core is busy. Ends with 1 when something is wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.request import Request, urlopen

import click

from benchmarks.gateways.runners.bridge import BridgeRunner, embedded_mongodb
from benchmarks.gateways.runners.runner import Running, Setup, free_port
from benchmarks.report import markdown, slope
from benchmarks.stand.processes import Cores, StandProcess, running_upstream
from benchmarks.stand.traffic import Traffic
from handlers.monitoring.metrics import PREFIX

MINUTES = 20.0
SHARE = 0.5
TRIAL_RATE, TRIAL_SECONDS = 20.0, 10.0
SAMPLE_SECONDS = 10.0
# After this long without a call the bridge has let go of the connections to providers that it kept.
QUIET_SECONDS = 30.0
GAUGES = ("interceptions_inflight", "recorder_queue_length", "recorder_spooled_records")

MAX_MEGABYTES_A_MINUTE, LEAST_MINUTES = 1.0, 3.0
MAX_QUEUED = 1_000
FILES_OF_CHANCE = 3
"""Connections to the database come and go."""


class Sample(NamedTuple):
    """The bridge at a moment: memory in MB, open files, slots taken, and its gauges."""

    minute: float
    megabytes: float
    files: int
    slots: int
    in_flight: float
    queued: float
    spooled: float


class SoakWatch:
    """Looks at a running bridge."""

    def __init__(self, running: Running) -> None:
        assert running.process is not None
        self._process: StandProcess = running.process
        self._target = running.target("chat")
        self._began = monotonic()

    def sample(self) -> Sample:
        """How it is now."""
        metrics = self._get("/metrics").decode().splitlines()
        slots = json.loads(self._get("/api/v2/aibridge/limits"))["limits"][0]["used"]
        files = sum(1 for _ in Path(f"/proc/{self._process.pid}/fd").iterdir())
        megabytes = self._process.use().resident_bytes / 1e6
        return Sample(
            (monotonic() - self._began) / 60, megabytes, files, slots, *(gauge(metrics, name) for name in GAUGES)
        )

    def _get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self._target.port}{path}"
        with urlopen(Request(url, headers=dict(self._target.headers)), timeout=10) as response:
            body: bytes = response.read()
            return body


def gauge(lines: Sequence[str], name: str) -> float:
    """The sum of a gauge over its labels, in Prometheus' text format."""
    series = (line.rpartition(" ") for line in lines if line.startswith((f"{PREFIX}{name} ", f"{PREFIX}{name}{{")))
    return sum(float(value) for _, _, value in series)


def faults(samples: Sequence[Sample], *, before: Sample, after: Sample, failed: int) -> list[str]:
    """What is wrong.

    Args:
        samples: During the load. Memory may grow in the first half of it, and is judged when the second is long enough.
        before: Of an idle server that had some load.
        after: Of one that has been idle again for a while.
        failed: Calls that did not go as they should.
    """
    steady = samples[len(samples) // 2 :]
    long_enough = bool(steady) and steady[-1].minute - steady[0].minute >= LEAST_MINUTES
    growth = slope([(sample.minute, sample.megabytes) for sample in steady]) if long_enough else 0.0
    queued = max((sample.queued for sample in samples), default=0.0)
    found = {
        f"memory grows by {growth:.2f} MB a minute": growth >= MAX_MEGABYTES_A_MINUTE,
        f"{queued:.0f} records waited in memory": queued > MAX_QUEUED,
        f"{after.queued + after.spooled:.0f} records still wait": after.queued + after.spooled > 0,
        f"{after.slots} slots were not given back": after.slots > 0,
        f"{after.in_flight:.0f} calls never ended": after.in_flight > 0,
        f"{after.files - before.files} files or connections were not closed": after.files
        > before.files + FILES_OF_CHANCE,
        f"{failed} calls failed": failed > 0,
    }
    return [text for text, wrong in found.items() if wrong]


async def soak(running: Running, minutes: float) -> list[str]:
    """Let it work; what is wrong."""
    assert running.process is not None
    traffic, watch = Traffic(running.target("chat")), SoakWatch(running)
    used = running.process.use().cpu_seconds
    await traffic.run(TRIAL_RATE, TRIAL_SECONDS)
    busy = (running.process.use().cpu_seconds - used) / TRIAL_SECONDS
    rate = TRIAL_RATE * SHARE / busy
    traffic.leave()
    await asyncio.sleep(QUIET_SECONDS)
    before = await asyncio.to_thread(watch.sample)
    print(f"{rate:.0f} calls a second for {minutes:g} minutes", flush=True)
    samples: list[Sample] = []
    looking = asyncio.create_task(every(SAMPLE_SECONDS, lambda: _note(watch, samples)))
    await traffic.run(rate, 60 * minutes)
    looking.cancel()
    traffic.leave()
    await asyncio.sleep(QUIET_SECONDS)
    after = await asyncio.to_thread(watch.sample)
    rows = [before, *samples[:: max(1, len(samples) // 20)], after]
    print(markdown(list(Sample._fields), ([f"{value:.1f}".removesuffix(".0") for value in sample] for sample in rows)))
    print(f"\nanswered: {dict(traffic.done)}\nfailed: {dict(traffic.failed)}")
    return faults(samples, before=before, after=after, failed=traffic.failed.total())


async def every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await do()


async def _note(watch: SoakWatch, samples: list[Sample]) -> None:
    samples.append(await asyncio.to_thread(watch.sample))


@click.command()
@click.option("--minutes", default=MINUTES, show_default=True, help="For how long there is load.")
def main(*, minutes: float) -> None:
    """Let the bridge work at half load, and say whether anything grows or leaks."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, cores.others)
    with tempfile.TemporaryDirectory(prefix="aibridge-soak-") as name:
        folder = Path(name)
        with embedded_mongodb(folder / "mongodb") as mongodb, running_upstream(folder, cores.others) as port:
            bridge = BridgeRunner(mongodb)
            bridge.prepare()
            running = bridge.start(Setup(port, free_port(), folder, {cores.gateway}))
            try:
                found = asyncio.run(soak(running, minutes))
            finally:
                running.stop()
    print("\nverdict: " + ("; ".join(found) if found else "nothing grows, everything was given back"))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
