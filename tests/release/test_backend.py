"""What is built for a release."""

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.metadata import Metadata
from packaging.utils import canonicalize_name

from handlers.dashboard import LIBRARIES, DashboardFiles
from handlers.help import PAGES
from tests.server_process import ROOT

pytestmark = pytest.mark.skipif(not DashboardFiles().installed, reason="the dashboard's libraries are not installed")

NOT_READ = ("tests/", "benchmarks/", "docs/", ".ci/", "release/", "dashboard/package")
"""Folders and files of the repository that a running bridge does not need."""
OF_DEVELOPERS = {
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
    "requirements-dev.txt",
}
LICENCES = {f"dashboard/node_modules/{name}/LICENSE" for name in ("htm", "preact", "uplot")}


def tracked():
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return listed.splitlines()


def build(folder, tree):
    """Build both in a folder; each by its name."""
    command = [sys.executable, "release/backend.py", folder]
    subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_wheel_has_all_that_a_running_bridge_reads_and_its_record_names_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
        assert {one.external_attr >> 16 for one in archive.infolist()} == {0o100644, 0o100755}
    needed = {name for name in tracked() if not name.startswith(NOT_READ) and name not in OF_DEVELOPERS}
    needed |= {f"dashboard/{name}" for name in LIBRARIES} | LICENCES
    needed |= {path.relative_to(ROOT).as_posix() for path in PAGES.values()}
    assert {name.removeprefix("aibridge/_app/") for name in files if name.startswith("aibridge/")} == needed | {
        "COMMIT"
    }
    for name in needed:
        assert files[f"aibridge/_app/{name}"] == (ROOT / name).read_bytes()
    record = next(content for name, content in files.items() if name.endswith("/RECORD")).decode()
    for name, digest, size in csv.reader(io.StringIO(record)):
        if not name.endswith("/RECORD"):
            hashed = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={hashed}", str(len(files[name])))
    assert len(record.splitlines()) == len(files)


def test_the_wheel_requires_what_is_pinned_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Metadata.from_email(archive.read(name), validate=True)
    by_extra = {"": set(), **{extra: set() for extra in metadata.provides_extra}}
    for one in metadata.requires_dist:
        extra = next((extra for extra in metadata.provides_extra if f'extra == "{extra}"' in str(one.marker)), "")
        by_extra[extra].add(f"{canonicalize_name(one.name)}{one.specifier}")
    pinned = {
        lock: {line.split()[0].rstrip(";") for line in (ROOT / lock).read_text().splitlines() if line[:1].isalpha()}
        for lock in ("requirements.txt", "requirements-azure.txt", "requirements-embedded.txt")
    }
    assert set().union(*(by_extra[extra] for extra in ("", "aws", "google", "otel"))) == pinned["requirements.txt"]
    assert by_extra["azure"] <= pinned["requirements-azure.txt"] <= by_extra["azure"] | by_extra[""]
    assert by_extra["embedded"] == pinned["requirements-embedded.txt"]
    assert {one.partition("==")[0] for one in by_extra[""]} >= {"tornado", "motor", "pymongo", "dnspython"}
    assert {one.partition("==")[0] for one in by_extra["aws"]} >= {"botocore", "jmespath"}
    assert {"botocore", "google-auth", "protobuf"}.isdisjoint(one.partition("==")[0] for one in by_extra[""])


def test_the_bill_of_materials_is_valid_and_has_each_package_and_library(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/sboms/aibridge.cdx.json")]
        text = archive.read(name).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    pinned = set()
    for lock in ("requirements.txt", "requirements-azure.txt", "requirements-embedded.txt"):
        pinned |= {line.split()[0].rstrip(";") for line in (ROOT / lock).read_text().splitlines() if line[:1].isalpha()}
    named = {f"{one['name']}=={one['version']}" for one in bill["components"] if one["purl"].startswith("pkg:pypi/")}
    assert named == pinned
    libraries = {one["name"] for one in bill["components"] if one["purl"].startswith("pkg:npm/")}
    assert libraries == {"htm", "preact", "uplot"}
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert {ref.partition("@")[0] for ref in needs[bill["metadata"]["component"]["purl"]]} >= {
        "pkg:pypi/tornado",
        "pkg:pypi/botocore",
        "pkg:npm/preact",
    }
    (pymongo,) = [ref for ref in needs if ref.startswith("pkg:pypi/pymongo@")]
    assert [ref.partition("@")[0] for ref in needs[pymongo]] == ["pkg:pypi/dnspython"]


def test_two_builds_in_two_folders_at_two_times_are_the_same_bytes_and_so_is_one_of_the_source_distribution(tmp_path):
    copy = tmp_path / "elsewhere"
    for name in [*tracked(), *(f"dashboard/{name}" for name in LIBRARIES), *LICENCES]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "COMMIT").write_text("0123456789abcdef0123456789abcdef01234567 1800000000\n")
    first = build(tmp_path / "first", copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    moved = copy.rename(tmp_path / "moved")
    (moved / "handlers/__pycache__").mkdir(exist_ok=True)
    (moved / "handlers/__pycache__/base.pyc").touch()
    assert build(tmp_path / "second", moved) == first
    (source,) = [name for name in first if name.endswith(".tar.gz")]
    with tarfile.open(tmp_path / "first" / source) as archive:
        archive.extractall(tmp_path, filter="data")
    assert build(tmp_path / "third", tmp_path / source.removesuffix(".tar.gz")) == first
    (name,) = [name for name in first if name.endswith(".whl")]
    with zipfile.ZipFile(tmp_path / "first" / name) as archive:
        assert {one.date_time for one in archive.infolist()} == {(2027, 1, 15, 8, 0, 0)}


def test_without_the_libraries_of_the_dashboard_it_says_what_to_run(tmp_path):
    for name in ("handlers/dashboard.py", "release/backend.py", "version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    built = subprocess.run(
        [sys.executable, "release/backend.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert built.returncode == 1
    assert built.stderr.splitlines()[-1] == "    npm ci --omit=dev --ignore-scripts --prefix dashboard"
