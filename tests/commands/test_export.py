import csv
import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from intercept.records import UserPrompt
from storage.recording.documents import ending_fields, start_document
from tests.cases import for_each
from tests.command_line import refused
from tests.server.on_terminal import on_terminal
from tests.server_process import ROOT
from tests.storage.records import INSTANCE, NOON, ending, interception


@pytest.fixture
def environ(mongodb_uri, database_name, tmp_path):
    """What a program has to know to work on the database of the test."""
    return {
        "TMPDIR": str(tmp_path),
        "AIBRIDGE_MONGODB_URI": mongodb_uri,
        "AIBRIDGE_MONGODB_DATABASE": database_name,
    }


@pytest.fixture
def three_pages(database, io_loop):
    """Interceptions 1 to 450 in the database, which make pages of 200, 200 and 50, of more than a pipe holds."""

    def document(number):
        call = interception(
            id=UUID(int=number), started_at=NOON + timedelta(seconds=number), user_prompt=UserPrompt(prompt="x" * 1000)
        )
        end = ending(interception_id=call.id)
        return start_document(call, instance_id=INSTANCE) | ending_fields(end)

    io_loop.run_sync(lambda: database.interceptions.insert_many([document(number) for number in range(1, 451)]))


def ids(lines):
    return [json.loads(line)["id"] for line in lines.splitlines()]


def numbers(lines):
    return [UUID(id_).int for id_ in ids(lines)]


# What is written.


def test_an_export_is_what_the_list_shows_a_line_each(output, record):
    record(), record()
    lines = output("interceptions", "export").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(output("interceptions", "list", "-o", "json"))["results"]
    head, *rows = csv.reader(output("interceptions", "export", "--format", "csv").splitlines())
    assert (head[0], [row[0] for row in rows]) == ("id", ids("\n".join(lines)))


def test_what_calls_cost_is_exported_in_either_format(output, record):
    record()
    output("recount", "--from", "2026-01-01")
    arguments = ("spend", "export", "--from", "2026-01-01", "--to", "2027-01-01", "--group-by", "user")
    head, row = csv.reader(output(*arguments).splitlines())
    assert head[:3] == ["period_start", "period_end", "user_id"]
    assert dict(zip(head, row, strict=True))["username"] == "ada"
    assert output(*arguments, "--format", "focus").startswith('"BilledCost"')


# What goes wrong.


@for_each(
    ("arguments", "said"),
    (["--after-id", str(UUID(int=9))], f"there is no interception {UUID(int=9)} that the caller may see"),
    (["--after-id", "x"], "after_id: must be a UUID"),
    (["--q", "user:nobody"], "nobody"),
    (["--q", "status:model"], 'has invalid value "model"'),
)
def test_what_is_wrong_is_said_in_one_line(run, arguments, said):
    code, text = refused(run("interceptions", "export", "--format", "csv", *arguments))
    assert (code, said in text, text.count("\n")) == (1, True, 1)


def test_a_file_is_no_argument(run, tmp_path):
    code, text = refused(run("spend", "export", str(tmp_path / "spend.csv")))
    assert (code, text.splitlines()[-1]) == (2, f"Error: Got unexpected extra argument ({tmp_path / 'spend.csv'})")
    assert list(tmp_path.iterdir()) == []


@for_each("arguments", [], ["--format", "csv", "--q", "model:none"])
def test_a_full_standard_output_is_said_in_one_line(three_pages, environ, arguments):
    # As Python's own end would write what is left in the buffer, this begins with it.
    command = [sys.executable, "server.py", "interceptions", "export", *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, check=False, cwd=ROOT, env=environ, stdout=full, stderr=subprocess.PIPE)
    said = b"Error: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_who_interrupts_it_has_whole_lines_and_goes_on_behind_the_last(three_pages, environ, output):
    command = [sys.executable, "server.py", "interceptions", "export"]
    pipe = subprocess.PIPE
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it, and its children do
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe) as process:
        lines = process.stdout.readline()  # the rest is more than the pipe takes
        process.send_signal(signal.SIGINT)
        lines += process.stdout.read()
        said = process.stderr.read().decode()
    assert (process.returncode, said) == (1, "\nAborted!\n")
    assert 0 < len(numbers(lines)) < 450
    lines += output("interceptions", "export", "--after-id", ids(lines)[-1]).encode()
    assert numbers(lines) == list(range(450, 0, -1))


# Who watches.


def test_what_clients_wrote_is_not_for_a_terminal(environ):
    code, said = on_terminal("interceptions", "export", whole=True, **environ)
    assert (code, said.splitlines()[-1]) == (
        2,
        "Error: text of clients and models is not printed to a terminal: write it to a file with > FILE, or pipe it to a program",
    )
