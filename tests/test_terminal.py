import os
import termios
from contextlib import contextmanager, redirect_stderr

import pytest

from terminal import StatusLine
from tests.server.on_terminal import everything


@contextmanager
def terminal(columns=20):
    """Make standard error a terminal; what it got is in the list once the block has ended."""
    got = []
    reader, its_side = os.openpty()
    termios.tcsetwinsize(its_side, (24, columns))
    with os.fdopen(its_side, "w") as stream, redirect_stderr(stream):
        yield got
    got.append(everything(reader))


def test_what_is_said_replaces_what_was_and_is_erased_in_the_end():
    with terminal() as got, StatusLine() as line:
        line.say("one")
        line.say("two")
    assert got == [b"\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K"]


@pytest.mark.parametrize(("columns", "fit"), [(20, 19), (0, 79)])
def test_long_lines_are_cut_at_the_width_or_at_eighty_columns(columns, fit):
    with terminal(columns) as got:
        StatusLine().say("x" * 100)
    assert got == [b"\r\x1b[K" + b"x" * fit]


def test_who_does_not_want_it_is_told_nothing():
    with terminal() as got:
        StatusLine(enabled=False).say("never")
    assert got == [b""]


def test_where_nobody_watches_nothing_is_said(tmp_path):
    with (tmp_path / "log").open("w") as log, redirect_stderr(log), StatusLine() as line:
        line.say("never")
    assert (tmp_path / "log").read_bytes() == b""
