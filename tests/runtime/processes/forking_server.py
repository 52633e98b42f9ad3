"""`python server.py` whose workers are forked, so that they begin with the modules of their supervisor loaded.

The product starts a new interpreter for each, as it does in `test_server_tls.py`: that takes half a second of the
processor. Servers of a cluster tell one another sooner how they are.
"""

import asyncio
import gc
import logging
import os
import runpy
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from prometheus_client import values

from runtime.logs import RECORDS
from runtime.processes import serving, worker  # noqa: F401 - loaded once for all workers
from storage.admission import cluster
from storage.members import membership
from tests.server_process import ROOT


class ForkedWorker:
    """What is used of `asyncio.subprocess.Process`."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    def _reap(self):
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()

    async def wait(self):
        await self._ended.wait()
        return self.returncode


async def fork(_python, program, *, stdin, pass_fds, env, start_new_session):
    """Stands for `asyncio.create_subprocess_exec`."""
    assert start_new_session
    if pid := os.fork():
        return ForkedWorker(pid)
    code = 1
    try:
        become(program, stdin, pass_fds, env)
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:  # noqa: BLE001 - nothing above is of this process
        traceback.print_exc()
    finally:
        os._exit(code)


def become(program, stdin, pass_fds, env):
    """Leave behind what was the supervisor's, and run the program of a worker."""
    gc.freeze()  # what is never collected closes no descriptor, which is another file by then
    asyncio._set_running_loop(None)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    os.dup2(stdin, 0)
    kept = {0, 1, 2, *pass_fds}
    for descriptor in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
        if descriptor not in kept:
            with suppress(OSError):  # that of the folder itself
                os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    values.ValueClass = values.get_value_class()  # by the environment
    for logger in (logging.root, logging.getLogger(RECORDS)):
        logger.handlers.clear()
    sys.stdin = os.fdopen(0)
    sys.argv[:] = [str(program)]
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    asyncio.create_subprocess_exec = fork
    membership.HEARTBEAT_SECONDS, cluster.RETURN_SECONDS = 0.25, 0.5
    runpy.run_path(str(ROOT / "server.py"), run_name="__main__")
