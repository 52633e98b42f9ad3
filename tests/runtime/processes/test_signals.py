"""Signals that are about more than one run of a server; how one stops in order is in `test_server_stop.py`."""

import os
import pty
import sys

from tests.server_process import ROOT, ServerOfForks


def test_a_server_ends_in_order_with_the_terminal_it_was_started_from(tmp_path, mongodb_uri, database_name):
    where = f"--mongodb-uri {mongodb_uri} --mongodb-database {database_name}"
    flags = f"{where} --data-dir {tmp_path} --http-address 127.0.0.1:0 --workers 2"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", *ServerOfForks.program[1:], *flags.split()])
    said = b""
    while b"Add yourself as an owner" not in said:
        said += os.read(terminal, 1024)
    os.close(terminal)
    assert os.waitpid(pid, 0) == (pid, 0)
