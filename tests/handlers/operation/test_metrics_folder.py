"""Several processes, each with metrics of its own, and what one scrape shows."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
from prometheus_client import generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from handlers.operation import metrics_folder
from handlers.operation.metrics_folder import FILE_BYTES, VARIABLE, MetricsFile, MetricsFolder
from tests.server_process import ROOT

# What is counted once per process, and then what the folder shows when it is asked on standard input.
PROGRAM = """
import sys
from pathlib import Path
from handlers.operation.metrics import Metrics
from handlers.operation.metrics_folder import MetricsFolder

folder, refusals, lag, queue = sys.argv[1:]
metrics = Metrics(MetricsFolder(Path(folder)))
metrics.watch("lag", "Late.", lambda: float(lag), across="livemax")
metrics.watch("queue", "Waiting.", lambda: float(queue))
for _ in range(int(refusals)):
    metrics.rejected("rate")
    metrics.overhead("admission").observe(0.01)
for _ in sys.stdin:
    content_type, text = metrics.exposition()
    print(text.decode(), "end", sep="\\n", flush=True)
"""


class Process:
    """A process with metrics in a folder; `scrape` asks it for those of all."""

    def __init__(self, folder, *, refusals=0, lag=0.0, queue=0):
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, str(refusals), str(lag), str(queue)],
            cwd=ROOT,
            env={VARIABLE: str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def scrape(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline()) != "end\n":
            assert line, "the process has ended"
            lines.append(line)
        text = "".join(lines)
        return {name: float(value) for name, value in re.findall(r"^coder_aibridged_(\S+) (\S+)$", text, re.MULTILINE)}

    def kill(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def folder(tmp_path):
    return MetricsFolder(tmp_path)


@pytest.fixture
def start(tmp_path):
    processes = []

    def start(**metrics):
        processes.append(Process(tmp_path, **metrics))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


COUNTED = (
    'overload_rejections_total{limit="rate"}',
    'relay_overhead_seconds_count{phase="admission"}',
    'relay_overhead_seconds_bucket{le="0.005",phase="admission"}',
    'relay_overhead_seconds_bucket{le="0.01",phase="admission"}',
)


@pytest.fixture
def lock_is_free(folder):
    """Whether a lock of that kind could be had now."""

    def lock_is_free(how):
        descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    return lock_is_free


def test_counters_are_added_and_stay_and_gauges_are_of_living_processes(start, folder, lock_is_free, monkeypatch):
    first, second = start(refusals=2, lag=9, queue=3), start(refusals=5, lag=0.25, queue=4)
    third = start(refusals=1, lag=0.5, queue=1)
    new = folder.path / "counter_1.db"
    new.touch()  # a process has just made it
    for process in (first, second, third, first):
        scraped = process.scrape()
    assert [scraped[name] for name in COUNTED] == [8, 8, 0, 8]
    assert (scraped["lag"], scraped["queue"]) == (9, 8)
    new.unlink()
    for process in (first, second):
        process.kill()
        folder.reap(process.pid)
        folder.reap(process.pid)
    scraped = third.scrape()
    assert [scraped[name] for name in COUNTED] == [8, 8, 0, 8]
    assert (scraped["lag"], scraped["queue"]) == (0.5, 1)
    assert sorted(path.name for path in folder.path.glob("*.db")) == sorted(
        f"{kind}_{of}.db"
        for kind, of in [
            *(("counter", 0), ("histogram", 0), ("counter", third.pid), ("histogram", third.pid)),
            *(("gauge_livemax", third.pid), ("gauge_livesum", third.pid)),
        ]
    )
    # nobody looks while a process is buried, and several may look
    free = []

    def probed(work):
        def probe(*arguments):
            free.append((lock_is_free(fcntl.LOCK_SH), lock_is_free(fcntl.LOCK_EX)))
            return work(*arguments)

        return probe

    monkeypatch.setattr(metrics_folder, "generate_latest", probed(generate_latest))
    monkeypatch.setattr(metrics_folder, "mark_process_dead", probed(mark_process_dead))
    folder.exposition()
    folder.reap(third.pid)
    assert free == [(True, False), (False, False)]
    assert lock_is_free(fcntl.LOCK_EX)


def test_a_process_that_counted_nothing_is_buried_too(folder):
    folder.reap(1)
    assert folder.exposition() == b""


@contextmanager
def room(size):
    """Files cannot become larger than this, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


NUMBERS = {f"[{number:0100}]": float(number) for number in range(1000)}


def written(path, numbers):
    """A file after these numbers were written into it."""
    file = MetricsFile(str(path))
    for key, number in numbers.items():
        file.write_value(key, number, 0.0)
    assert {key: number for key, number, *_ in file.read_all_values()} == numbers
    file.close()
    return file


def read(path):
    return {key: number for key, number, *_ in MmapedDict.read_all_values_from_file(str(path))}


@pytest.mark.expects_log(r"counter_[124]\.db has no room, or no folder: new metrics of its process are not shown$")
def test_on_a_full_disk_or_without_a_folder_a_process_counts_in_memory(tmp_path):
    with room(0):
        assert not written(tmp_path / "counter_1.db", NUMBERS).is_kept
    with room(FILE_BYTES):
        assert not written(tmp_path / "counter_2.db", NUMBERS).is_kept
    assert not written(tmp_path / "cleaned away" / "counter_4.db", NUMBERS).is_kept
    assert (tmp_path / "counter_1.db").read_bytes() == b""
    kept = read(tmp_path / "counter_2.db")
    assert (0 < len(kept) < 1000, kept.items() <= NUMBERS.items()) == (True, True)
    assert written(tmp_path / "counter_3.db", NUMBERS).is_kept
    status = (tmp_path / "counter_3.db").stat()
    assert status.st_blocks * 512 >= status.st_size == 2 * FILE_BYTES  # nothing of it can be missing later
    assert read(tmp_path / "counter_3.db") == NUMBERS


@pytest.mark.expects_log(r"counter_0\.db has no room, or no folder: new metrics of its process are not shown$")
def test_on_a_full_disk_the_counters_of_an_ended_process_stay_where_they_are(folder):
    written(folder.path / "counter_1.db", NUMBERS)
    (folder.path / "histogram_1.db").touch()  # there was no room for anything
    with room(FILE_BYTES):
        folder.reap(1)
    assert read(folder.path / "counter_1.db") == NUMBERS
    assert set(read(folder.path / "counter_0.db").values()) == {0}
    folder.reap(1)
    assert read(folder.path / "counter_0.db") == NUMBERS
    assert [path.name for path in folder.path.glob("*.db")] == ["counter_0.db"]
