"""The modules of the dashboard that need no browser, in Node.js."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.api.vocabulary import VOCABULARY
from intercept.secrets import _SHAPES
from storage.queries.filters.search_language import parse_search
from tests.server_process import ROOT
from tests.storage.searches import search_of

HERE = Path(__file__).parent
TESTS = sorted(HERE.rglob("*.test.mjs"))

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")


def test_every_test_of_every_module_passes():
    assert [path for path in TESTS if not re.search(r"\btest\(", path.read_text())] == []
    # All in one process: a process takes ten times as long as its tests.
    script = "for (const path of process.argv.slice(1)) await import(path)"
    command = ["node", "--test-reporter=tap", "--input-type=module", "-e", script, *TESTS]
    words = {"VOCABULARY": msgspec.json.encode(VOCABULARY).decode()}
    ran = subprocess.run(command, env=os.environ | words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(re.search(r"^# pass (\d+)$", ran.stdout, re.MULTILINE)[1]) >= len(TESTS)


def test_every_vendors_prefix_of_a_key_that_is_scrubbed_is_known_as_a_secret():
    prefixes = re.search(r"\(\?:(sk\|[^)]+)\)", _SHAPES.pattern)[1]
    assert f"(?:{prefixes})[-_]" in (ROOT / "dashboard/js/bar/query.js").read_text()


@pytest.fixture(scope="module")
def node():
    """What the filters make of values."""
    with subprocess.Popen(
        ["node", HERE / "bar/query_lines.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def send(question):
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield send
        process.stdin.close()


KEYS = st.sampled_from(["user", "provider", "provider_name", "model", "client", "session_id", "request_id"])
# A search has no way to write a double quote; the page does not offer what has one.
VALUES = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1, max_size=20)


def sought(values):
    """The search for these values; ids are found in any case."""
    return search_of(**{name: text.lower() if name == "request_id" else text for name, text in values.items()})


@given(values=st.dictionaries(KEYS, VALUES), change=st.tuples(KEYS, st.one_of(st.just(""), VALUES)))
def test_the_server_reads_a_search_as_the_filters_meant_it(node, values, change):
    said = node({"values": values, "change": change})
    assert parse_search(said["q"]) == sought(values)
    assert said["read"] == values
    key, value = change
    expected = {name: text for name, text in values.items() if name != key} | ({key: value} if value else {})
    assert parse_search(said["changed"]) == sought(expected)
    assert said["now"] == value
