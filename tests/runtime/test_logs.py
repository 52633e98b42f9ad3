import io
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from intercept.secrets import KnownSecrets
from runtime.logs import LINE, WORKER_LINE, ScrubbingFormatter, SharedStreamHandler

TOKEN = "abcdefghij-0123456789abcdefghijkl"


def record(message, *args, exc_info=None):
    return logging.LogRecord("n", logging.ERROR, __file__, 1, message, args, exc_info)


def test_a_credential_in_a_message_or_its_arguments_is_not_shown():
    line = ScrubbingFormatter("%(levelname)s %(name)s: %(message)s", KnownSecrets()).format(record("token %s", TOKEN))
    assert line == "ERROR n: token abcdefghij-[scrubbed]"


def test_a_credential_in_a_traceback_is_not_shown():
    error = ValueError(f"no such token: {TOKEN}")
    line = ScrubbingFormatter(LINE, KnownSecrets()).format(record("failed", exc_info=(type(error), error, None)))
    assert line.endswith("ValueError: no such token: [scrubbed]")
    assert TOKEN not in line


# Takes the lock on its standard output if nobody has it, and says something when it is told to.
OTHER = """
import fcntl, sys
fcntl.lockf(1, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("ready", file=sys.stderr, flush=True)
sys.stdin.readline()
print("of the other", flush=True)
"""


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with open(reading) as said, open(writing, "w") as stream:  # noqa: PTH123 - descriptors have no paths
        yield said, stream


def other_process(stream):
    """A process that writes to the stream; it has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "ready\n"
    return process


def waits_for_a_lock():
    """Whether this process does; see proc_locks(5)."""
    return re.search(rf"-> POSIX +ADVISORY +WRITE +{os.getpid()} ", Path("/proc/locks").read_text()) is not None


def test_a_line_is_written_when_no_other_process_is_about_to(pipe):
    said, stream = pipe
    other = other_process(stream)
    emitting = threading.Thread(target=SharedStreamHandler(stream).emit, args=(record("of this one"),))
    emitting.start()
    while emitting.is_alive() and not waits_for_a_lock():
        pass
    other.communicate("\n")
    emitting.join()
    assert [said.readline(), said.readline()] == ["of the other\n", "of this one\n"]


def test_other_processes_may_write_when_a_line_is_written(pipe):
    said, stream = pipe
    SharedStreamHandler(stream).emit(record("of this one"))
    assert other_process(stream).communicate("\n") == (None, "")
    assert [said.readline(), said.readline()] == ["of this one\n", "of the other\n"]


def test_the_log_of_a_worker_says_whose_it_is():
    line = ScrubbingFormatter(WORKER_LINE, KnownSecrets()).format(record("serving"))
    assert line.endswith(f" ERROR n: worker {os.getpid()}: serving")


def test_what_is_no_file_is_written_to_all_the_same():
    stream = io.StringIO()
    SharedStreamHandler(stream).emit(record("said"))
    assert stream.getvalue() == "said\n"


# Writes a record as `handlers/dataplane/call.py` does, and a line for people.
SPEAKER = r"""
import logging
from intercept.secrets import KnownSecrets
from runtime.logs import RECORDS, set_up_logging
set_up_logging(KnownSecrets(["hunter-22"]))
logging.getLogger(RECORDS).info('{"prompt":"pass: \\"x\\""}')
logging.getLogger("n").info('hunter-22 {"prompt":"pass: hunter22"}')
"""


def test_a_record_line_leaves_as_it_was_encoded_and_other_lines_scrubbed():
    said = subprocess.run([sys.executable, "-c", SPEAKER], capture_output=True, text=True, check=True)
    assert said.stdout == '{"prompt":"pass: \\"x\\""}\n'
    assert said.stderr.endswith('INFO n: [scrubbed] {"prompt":"pass: [scrubbed]"}\n')


def test_records_that_cannot_be_written_are_said_once_and_shown_nowhere_else():
    twice = SPEAKER + "logging.getLogger(RECORDS).info('another')\n"
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", twice]
        said = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True).stderr
    lost, line, *rest = said.splitlines()
    assert lost.endswith("WARNING runtime.logs: lines for <stdout> are lost: OSError(28, 'No space left on device')")
    assert line.endswith('INFO n: [scrubbed] {"prompt":"pass: [scrubbed]"}')
    assert "pass:" not in "".join(rest)
