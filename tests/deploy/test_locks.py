"""The locks pin what the requirements allow, and the metadata says the same as both."""

import re
import shutil
import subprocess
import sys
from email import message_from_string
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.cases import for_each
from version import VERSION

ROOT = Path(__file__).parents[2]
NAMES = (
    "requirements",
    "requirements-otel",
    "requirements-aws",
    "requirements-google",
    "requirements-dev",
    "requirements-docs",
)
ENVIRONMENTS = [
    {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
    for python in ("3.11", "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name):
    lines = (ROOT / f"{name}.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def pins(name):
    """Each pin of a lock with its hashes."""
    text = (ROOT / f"{name}.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    split = [line.partition(" --hash=") for line in lines]
    return [(Requirement(pin), f"{mark}{hashes}".split()) for pin, mark, hashes in split]


def versions(name, environment):
    """The version of each package that this environment gets."""
    pinned = [pin for pin, _ in pins(name) if pin.marker is None or pin.marker.evaluate(environment)]
    assert len({normalized(pin.name) for pin in pinned}) == len(pinned)
    return {normalized(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}


@for_each("name", NAMES)
def test_every_pin_is_exact_and_has_hashes(name):
    for pin, hashes in pins(name):
        assert re.fullmatch(r"==[\w.+!]+", str(pin.specifier))
        assert hashes
        assert [one for one in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one)] == []


@for_each("name", NAMES)
@for_each("environment", ENVIRONMENTS, ids=lambda one: "-".join(sorted(one.values())[1:]))
def test_a_lock_pins_what_its_requirements_allow(name, environment):
    """When this fails: make lock."""
    pinned = versions(name, environment)
    wanted = [one for one in requirements(name) if one.marker is None or one.marker.evaluate(environment)]
    wrong = [str(one) for one in wanted if not one.specifier.contains(pinned.get(normalized(one.name), "0"))]
    assert wrong == []


@for_each("environment", ENVIRONMENTS, ids=lambda one: "-".join(sorted(one.values())[1:]))
def test_the_locks_agree_with_one_another(environment):
    runtime, otel, aws, google, dev, docs = (versions(name, environment) for name in NAMES)
    assert runtime.items() <= otel.items() <= dev.items()
    assert runtime.items() <= aws.items() <= dev.items()
    assert runtime.items() <= google.items() <= dev.items()
    assert [name for name in docs.keys() & dev.keys() if docs[name] != dev[name]] == []


@pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) < 77, reason="not the setuptools of the lock: make test"
)
def test_the_metadata_is_that_of_the_requirements_and_of_the_version(tmp_path):
    texts = (
        "requirements.txt",
        "requirements-otel.txt",
        "requirements-aws.txt",
        "requirements-google.txt",
        "README.md",
    )
    for name in ("pyproject.toml", *texts, "version.py", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = "from setuptools.build_meta import prepare_metadata_for_build_wheel as prepare; prepare('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    metadata = message_from_string((tmp_path / f"aibridge-{VERSION}.dist-info" / "METADATA").read_text())
    wanted = [str(one) for one in requirements("requirements")]
    optional = [
        f'{one}; extra == "{extra}"'
        for extra in ("otel", "aws", "google")
        for one in requirements(f"requirements-{extra}")
    ]
    assert (metadata["Version"], metadata["Requires-Python"]) == (VERSION, ">=3.11")
    assert metadata["License-Expression"] == "MIT"
    said = [str(Requirement(one)) for one in metadata.get_all("Requires-Dist")]
    assert sorted(said) == sorted(str(Requirement(one)) for one in wanted + optional)
