"""The command line as a user at a terminal sees it."""

import os

from tests.forked import Forked
from tests.server_process import ROOT, SECONDS


def on_terminal(*arguments, whole=False, **environ):
    """Run `python server.py` with these arguments; its exit code, and what the terminal got.

    That is its standard error, and with `whole` its standard output too, which otherwise nobody sees.
    """
    terminal, its_side = os.openpty()
    nobody = os.open(os.devnull, os.O_WRONLY)
    process = Forked(["server.py", *arguments], ROOT, environ, its_side if whole else nobody, its_side)
    for one in (process.stdout, process.stderr):
        one.close()
    os.close(its_side)
    os.close(nobody)
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
