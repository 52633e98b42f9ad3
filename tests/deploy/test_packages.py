"""The files of requirements pin what is asked for, exactly and with hashes."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from tests.cases import for_each

ROOT = Path(__file__).parents[2]
ASKED = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = ASKED["dependency-groups"]
RUNTIME = [one for group in ("server", "aws", "google", "otel") for one in GROUPS[group]]
FILES = {
    "requirements.txt": RUNTIME,
    "requirements-azure.txt": GROUPS["azure"],
    "requirements-dev.txt": RUNTIME + GROUPS["dev"],
    "tests/clients/requirements.txt": GROUPS["clients"],
    "tests/deploy/requirements.txt": GROUPS["deploy"],
}


def pins(name):
    """Each pin of a file with its hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.partition(" --hash=") for line in text.splitlines() if line]
    return {Requirement(pin): f"{mark}{hashes}".split() for pin, mark, hashes in lines}


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@for_each(("name", "asked"), *list(FILES.items()))
def test_a_file_pins_what_is_asked_for_exactly_and_with_hashes(name, asked):
    """When this fails: make lock."""
    found = pins(name)
    for pin, hashes in found.items():
        assert re.fullmatch(r"==[\w.+!]+", str(pin.specifier))
        assert hashes
        assert [one for one in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one)] == []
    for one in map(Requirement, asked):
        versions = [str(pin.specifier)[2:] for pin in found if normalized(pin.name) == normalized(one.name)]
        assert any(map(one.specifier.contains, versions)), one


def test_what_the_tests_run_with_is_what_is_installed():
    server, tests = ({f"{pin.name}{pin.specifier}" for pin in pins(f"requirements{one}.txt")} for one in ("", "-dev"))
    assert server <= tests
