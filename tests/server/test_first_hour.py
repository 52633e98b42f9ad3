"""The README and the first hour, followed to the letter from an empty folder."""

import os
import re
import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.docs.pages import ROOT, blocks
from tests.forked import Forked
from tests.ports import free_ports
from tests.server_process import Lines

COMMAND = ".venv/bin/python "
OF_A_CLIENT = "claude"
NOT_FOLLOWED = (
    "make test",
    "pip install",
    "aibridge ",
    OF_A_CLIENT,
    "export ANTHROPIC_BASE_URL",
    "export ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL=",
)
DATABASE = "mongodb://aibridge:PASSWORD@db1,db2,db3/aibridge?replicaSet=rs0"


@pytest.fixture
def folder(tmp_path):
    """The product in a folder of its own, set up and without data."""
    for path in ROOT.iterdir():
        if path.name not in {".venv", ".git", "data"}:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / ".venv").mkdir()
    for path in (ROOT / ".venv").iterdir():
        if path.is_file() and not path.suffix:
            (tmp_path / ".venv" / path.name).touch()  # as new as it must be for make
        else:
            (tmp_path / ".venv" / path.name).symlink_to(path)
    return tmp_path


class Reader:
    """Somebody who pastes what is written: servers into one terminal, everything else into another."""

    def __init__(self, folder, mongodb_uri, database_name):
        self._folder = folder
        self._address = f"127.0.0.1:{free_ports(1)[0]}"
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AIBRIDGE_HTTP_ADDRESS": self._address,
            "AIBRIDGE_MONGODB_DATABASE": database_name,
        }
        self._mongodb_uri = mongodb_uri
        self._server = None
        self.token = ""

    def follow(self, lines):
        for line in lines:
            if line.startswith("export "):
                words = shlex.split(line.replace(DATABASE, self._mongodb_uri))[1:]
                self._environ |= dict(word.split("=", 1) for word in words)
            elif re.match(r"make run|\.venv/bin/python server\.py(?! [a-z])", line):
                self.stop()
                self._start(line)
            else:
                self.run(line)

    def run(self, line):
        """Run a line. A command of the product alone begins with its modules loaded, which would take a second each time."""
        line = line.replace("https://aibridge.example.com", f"http://{self._address}")
        if line.startswith(("AIBRIDGE_TOKEN=.. " + COMMAND, COMMAND)):
            environ = self._environ | {"AIBRIDGE_TOKEN": self.token}
            done = Forked(shlex.split(line.partition(COMMAND)[2]), self._folder, environ)
            with done.stdout, done.stderr:
                code, printed, said = done.wait(60), done.stdout.read(), done.stderr.read()
        else:
            command = ["bash", "-c", line]
            ran = subprocess.run(
                command, cwd=self._folder, env=self._environ, capture_output=True, text=True, timeout=60, check=False
            )
            code, printed, said = ran.returncode, ran.stdout, ran.stderr
        assert code == 0, f"{line}\n{printed}{said}{''.join(self.log.so_far())}"
        return printed

    def _start(self, line):
        command = ["bash", "-c", f"exec {line}"]
        self._server = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said, self.log = Lines(self._server.stdout), Lines(self._server.stderr)
        self.log.find("AI Bridge is listening on")

    def stop(self):
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGINT)
            self._server.wait(30)
            self._server = None


@pytest.fixture
def reader(folder, mongodb_uri, database_name):
    reader = Reader(folder, mongodb_uri, database_name)
    yield reader
    reader.stop()


def commands(name):
    """The command lines of a page, in order, without those of clients."""
    lines = "".join(blocks(name, "sh")).replace("|\n  ", "| ").splitlines()
    return [line for line in lines if not line.startswith(NOT_FOLLOWED)]


def test_every_command_of_the_readme_works_as_written(reader):
    run, *others = commands("README.md")
    reader.follow([run])
    reader.said.find("what was recorded of them")
    printed = [line for line in reader.said.so_far() if line.startswith("curl ")]
    assert len(printed) == 4
    with ThreadPoolExecutor() as pool:  # each call takes two seconds, at the pace of a model
        list(pool.map(lambda line: reader.run(line.replace("curl ", "curl -sS --fail-with-body ")), printed))
    reader.follow(others)


def test_every_command_of_the_first_hour_works_as_written(reader):
    lines, made = commands("docs/first-hour.md"), []
    (session,) = [block for block in blocks("docs/first-hour.md", "") if block.startswith("$ ")]
    typed = [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]
    reader.follow(["make run"])
    for line in lines:
        if "verify" in line or "users remove demo" in line:
            made = [reader.run(one) for one in typed]
            reader.token = made[-1].strip()
        reader.follow([line])
    assert len(made) == 2
