"""Programs of this project in processes of their own that begin with its modules loaded: most of a start is to load them.

What an interpreter does last, such as what `atexit` was told, is not done: who tests that starts Python itself.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
# Not what reads the environment while it is loaded: each process has its own.
_FORKS.set_forkserver_preload(["server", "runtime.processes.server", "upstream.demo", "genai_prices.data"])


class Forked:
    """What is used of `subprocess.Popen`. `command` is that of `python`; `environ` is all that its environment has.

    What it prints comes by pipes. `outputs` are descriptors that it gets for its first outputs instead.
    """

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str], *outputs: int) -> None:
        pipes = [_FORKS.Pipe(duplex=False) for _ in range(2)]
        given = [Connection(os.dup(one)) for one in outputs]
        its = given + [writer for _, writer in pipes][len(given) :]
        self._process = _FORKS.Process(target=_run, args=(command, cwd, environ, *its), daemon=True)
        self._process.start()
        self.stdout, self.stderr = (os.fdopen(os.dup(reader.fileno())) for reader, _ in pipes)
        for one in (*given, *chain.from_iterable(pipes)):
            one.close()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Its exit code if it has ended."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, once it has ended."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal while it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it while it runs."""
        self.send_signal(signal.SIGKILL)


def _run(command: Sequence[str], cwd: Path, environ: Mapping[str, str], stdout: Connection, stderr: Connection) -> None:
    for descriptor, one in enumerate((stdout, stderr), start=1):
        os.dup2(one.fileno(), descriptor)
        one.close()
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    program, *sys.argv = command
    if program == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv.insert(0, program)
        runpy.run_path(program, run_name="__main__")
