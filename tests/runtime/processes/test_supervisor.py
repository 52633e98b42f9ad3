"""The supervisor and its workers as processes. Small programs stand for `runtime/processes/worker.py`, to misbehave at will."""

import json
import os
import signal
import sys

import pytest

from limits.authority import LocalAuthority
from runtime.authority import ServerAuthority
from runtime.processes import supervisor
from runtime.processes.supervisor import Handover, Supervisor, Worker, WorkerError
from tests.bridge import until
from tests.server_process import command_line

# The n-th to start behaves as the n-th word of the plan says, and all others as its last one.
PROGRAM = r"""
import json, os, signal, sys, time

line = sys.stdin.readline()
flags = json.loads(line)["flags"]
folder, plan = flags["folder"], flags["plan"].split()
number = 0
while True:
    try:
        os.mkdir(f"{folder}/{number}")
        break
    except FileExistsError:
        number += 1

def note(what):
    with open(f"{folder}/events", "a") as events:
        events.write(f"{what} {number}\n")

def leave(signal_number, _):
    note(signal.Signals(signal_number).name)
    sys.exit(0)

with open(f"{folder}/{number}/pid", "w") as file:
    file.write(f"{os.getpid()}")
with open(f"{folder}/{number}/handover", "w") as file:
    file.write(line)
behaviour = plan[min(number, len(plan) - 1)]
for one in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, signal.SIG_IGN if behaviour == "deaf" else leave)
if behaviour == "refuse":
    os.write(0, b"no room for the spool\n")
    sys.exit(1)
if behaviour == "fail":
    sys.exit(3)
if behaviour == "vanish":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "expire":
    os.kill(os.getpid(), signal.SIGRTMIN + 6)
while behaviour == "hesitate" and not os.path.exists(f"{folder}/go"):
    time.sleep(0.005)
if behaviour != "mute":
    note("serves")
    os.write(0, b"\n")
if behaviour == "die":
    sys.exit(4)
while sys.stdin.readline():
    pass
"""


class Crew:
    def __init__(self, folder, plan, *, workers=1, times=(), reap=None):
        self.folder = folder
        self.buried = []
        self.pauses = []
        self._times = iter(times)
        self._handover = Handover(
            flags={"folder": str(folder), "plan": plan}, sockets=[], mongodb_uri="", demo_url="http://demo/"
        )
        authority = ServerAuthority(LocalAuthority())
        self.supervisor = Supervisor(
            workers,
            drain_timeout=0,
            spawn=lambda: Worker.spawn(self._handover, os.environ, authority),
            reap=reap or self.buried.append,
            clock=lambda: next(self._times, 0),
            pause=self._pause,
        )

    async def _pause(self, seconds):
        self.pauses.append(seconds)

    def events(self):
        file = self.folder / "events"
        return file.read_text().splitlines() if file.exists() else []

    async def happened(self, *events):
        await until(lambda: set(events) <= set(self.events()))

    def pid(self, number):
        return int((self.folder / str(number) / "pid").read_text())

    def living(self):
        living = {worker.pid for worker in self.supervisor._exits}
        return [number for number in range(20) if (self.folder / str(number)).exists() and self.pid(number) in living]


@pytest.fixture
def crew(io_loop, tmp_path, monkeypatch):
    """Make a supervisor; stopped with the test."""
    monkeypatch.setattr(supervisor, "PROGRAM", tmp_path / "program.py")
    supervisor.PROGRAM.write_text(PROGRAM)
    crews = []

    def make(plan, **how):
        crews.append(Crew(tmp_path, plan, **how))
        return crews[-1]

    yield make
    for one in crews:
        io_loop.run_sync(one.supervisor.stop)
        assert one.living() == []


async def test_what_a_worker_is_to_know_is_in_none_of_its_arguments_and_reaches_it_whole(crew, tmp_path):
    one = crew("serve")
    await one.supervisor.start()
    assert command_line(one.pid(0)) == [sys.executable, str(tmp_path / "program.py"), ""]
    assert json.loads((tmp_path / "0" / "handover").read_text()) == {
        "flags": {"folder": str(tmp_path), "plan": "serve"},
        "sockets": [],
        "mongodb_uri": "",
        "demo_url": "http://demo/",
    }
    assert os.getsid(one.pid(0)) == one.pid(0)


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("refuse", "no room for the spool"),
        ("fail", "a worker ended with exit code 3 before it served"),
        ("vanish", "a worker was killed by SIGKILL before it served"),
        ("expire", f"a worker was killed by signal {signal.SIGRTMIN + 6} before it served"),
    ],
)
async def test_without_any_worker_that_serves_the_reason_is_told(crew, plan, reason):
    with pytest.raises(WorkerError) as error:
        await crew(plan, workers=2).supervisor.start()
    assert str(error.value) == reason


@pytest.mark.expects_log("^ERROR aibridge: no room for the spool$")
async def test_a_worker_that_does_not_serve_is_tried_again_while_another_one_does(crew):
    two = crew("refuse serve", workers=2)
    await two.supervisor.start()
    await two.happened("serves 1", "serves 2")
    assert two.pauses == [0.5]


@pytest.mark.expects_log("^ERROR aibridge: no room for the spool$")
@pytest.mark.expects_log("^WARNING aibridge: worker [0-9]+ ended with exit code 4: starting another$")
async def test_workers_that_do_not_last_are_replaced_after_ever_longer_pauses(crew):
    one = crew("die die refuse serve")
    await one.supervisor.start()
    await one.happened("serves 3")
    assert one.pauses == [0.5, 1, 2]
    await until(lambda: one.living() == [3])


@pytest.mark.expects_log("^WARNING aibridge: worker [0-9]+ was killed by SIGKILL: starting another$")
async def test_a_worker_that_lasted_is_replaced_at_once(crew):
    one = crew("serve", times=[0, 60])
    await one.supervisor.start()
    os.kill(one.pid(0), signal.SIGKILL)
    await one.happened("serves 1")
    assert one.pauses == [0]
    await until(lambda: one.buried == [one.pid(0)])


@pytest.mark.expects_log("^ERROR aibridge: no room for the spool$")
@pytest.mark.expects_log("^ERROR aibridge: rolling restart stopped: the other workers stay$")
async def test_workers_stay_when_a_new_one_does_not_serve_and_may_be_renewed_later(crew):
    two = crew("serve serve refuse serve", workers=2)
    await two.supervisor.start()
    two.supervisor.renew()
    await until(lambda: len(two.buried) == 1)
    assert two.living() == [0, 1]
    two.supervisor.renew()
    await two.happened("SIGHUP 0", "SIGHUP 1")
    await until(lambda: two.living() == [3, 4])


@pytest.mark.expects_log("^WARNING aibridge: worker [0-9]+ was killed by SIGKILL: starting another$")
async def test_a_seat_that_was_filled_meanwhile_is_not_taken_twice(crew, tmp_path):
    one = crew("serve hesitate serve")
    await one.supervisor.start()
    one.supervisor.renew()
    await until((tmp_path / "1" / "pid").exists)
    os.kill(one.pid(0), signal.SIGKILL)
    await one.happened("serves 2")
    (tmp_path / "go").touch()
    await one.happened("SIGHUP 1")
    await until(lambda: one.living() == [2])


@pytest.mark.expects_log("^ERROR aibridge: worker [0-9]+ does not end: killing it$")
async def test_a_worker_that_does_not_end_in_time_is_killed(crew, monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.1)
    one = crew("deaf")
    await one.supervisor.start()
    await one.supervisor.stop()
    assert one.living() == []
