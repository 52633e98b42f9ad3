import csv
import json
import resource
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import click
import pytest

from commands.output import opened
from intercept.records import UserPrompt
from storage.recording.documents import ending_fields, start_document
from tests.cases import for_each
from tests.command_line import refused
from tests.server.on_terminal import on_terminal
from tests.server_process import ROOT
from tests.storage.records import INSTANCE, NOON, ending, interception


@pytest.fixture
def file(tmp_path):
    """Where to export to."""
    return tmp_path / "calls.ndjson"


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


def test_an_export_is_what_the_list_shows_a_line_each(output, record, file):
    record(), record()
    assert output("interceptions", "export", str(file)) == ""
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(output("interceptions", "list", "-o", "json"))["results"]
    assert output("interceptions", "export") == output("interceptions", "export", "-") == file.read_text()


def test_the_format_is_that_of_the_name_unless_it_is_given(run, output, record, file):
    record()
    output("interceptions", "export", str(file), "--format", "csv")
    assert file.read_text(encoding="utf-8").startswith('"id",')
    assert run("interceptions", "export", "--format", "csv").stdout_bytes == file.read_bytes()
    output("interceptions", "export", str(file.with_suffix(".txt")))
    assert json.loads(file.with_suffix(".txt").read_text(encoding="utf-8"))


# Where it is written.


def test_a_file_is_for_the_eyes_of_its_owner_and_alone_in_its_folder(output, record, file):
    record()
    assert output("interceptions", "export", str(file)) == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_exists_stays_unless_it_is_said_to_be_replaced(run, output, record, file):
    file.write_text("mine")
    assert refused(run("interceptions", "export", str(file))) == (
        1,
        f"Error: {file} exists already; --force replaces it\n",
    )
    assert file.read_text(encoding="utf-8") == "mine"
    id_ = record()
    output("interceptions", "export", str(file), "--force")
    assert ids(file.read_text(encoding="utf-8")) == [id_]


# What goes wrong.


@for_each(
    ("arguments", "said"),
    (["--after-id", str(UUID(int=9))], f"there is no interception {UUID(int=9)} that the caller may see"),
    (["--after-id", "x"], "after_id: must be a UUID"),
    (["--q", "user:nobody"], "nobody"),
    (["--q", "status:model"], 'has invalid value "model"'),
)
def test_what_is_unknown_leaves_nothing(run, file, arguments, said):
    for target in (str(file), "-"):
        code, text = refused(run("interceptions", "export", target, "--format", "csv", *arguments))
        assert (code, said in text, text.count("\n")) == (1, True, 1)
    assert list(file.parent.iterdir()) == []


def test_a_disk_that_takes_no_more_is_said_in_one_line_and_leaves_nothing(file):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def written():
        with opened(file, force=False) as out:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            try:
                out.write(bytes(2**20))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(click.ClickException) as refusal:
        written()
    assert refusal.value.message == f"{file} cannot be written: File too large"
    assert list(file.parent.iterdir()) == []


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
        "Error: text of clients and models is not printed to a terminal: give a FILE, or pipe it to a program",
    )


def test_what_calls_cost_is_written_to_a_file(output, run, record, tmp_path):
    record()
    output("recount", "--from", "2026-01-01")
    file = tmp_path / "spend.csv"
    arguments = ("spend", "export", str(file), "--from", "2026-01-01", "--to", "2027-01-01", "--group-by", "user")
    assert output(*arguments) == ""
    head, row = csv.reader(file.read_text().splitlines())
    assert head[:3] == ["period_start", "period_end", "user_id"]
    assert dict(zip(head, row, strict=True))["username"] == "ada"
    assert refused(run(*arguments)) == (1, f"Error: {file} exists already; --force replaces it\n")
    assert output(*arguments, "--force", "--format", "focus") == ""
    assert file.read_text().startswith('"BilledCost"')
    other = tmp_path / "other.csv"
    wrong = ("--from", "2026-01-02", "--to", "2026-01-01")
    assert refused(run("spend", "export", str(other), *wrong)) == (1, "Error: to: must be after from\n")
    assert not other.exists()
