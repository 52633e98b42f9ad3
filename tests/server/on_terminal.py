"""The command line as a user at a terminal sees it."""

import os
import subprocess
import sys

from tests.server_process import ROOT, SECONDS


def on_terminal(*arguments, whole=False, **environ):
    """Run `python server.py` with these arguments; its exit code, and what the terminal got.

    That is its standard error, and with `whole` its standard output too, which otherwise nobody sees.
    """
    terminal, its_side = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "server.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=its_side if whole else subprocess.DEVNULL,
        stderr=its_side,
    )
    os.close(its_side)
    said = everything(terminal)
    return process.wait(SECONDS), said.decode()


def everything(terminal):
    """All that a terminal got, once nobody has its other side any more. It is closed."""
    try:
        return b"".join(iter(lambda: _read(terminal), b""))
    finally:
        os.close(terminal)


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that it is the end
        return b""
