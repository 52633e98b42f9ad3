"""Packages held against their RECORD, in a folder of small ones."""

import base64
import hashlib
import os
import sys

import pytest

from runtime.verification import ChangedError, verify
from tests.cases import for_each

FILES = {
    "aibridge/_app/server.py": "",
    "bridges/__init__.py": "from bridges import arch",
    "bridges/arch.py": "STONES = 9",
    "Solo.py": "VALUE = 1",
    "native.abi3.so": "\0",
}


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def install(folder, info, *names):
    """Write a package's RECORD as an installer does: with scripts, compiled modules and itself."""
    rows = ["../../../bin/bridge,sha256=,1", f"{info}/RECORD,,", "__pycache__/Solo.cpython-311.pyc,,"]
    for name in names:
        digest = base64.urlsafe_b64encode(hashlib.sha256((folder / name).read_bytes()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{(folder / name).stat().st_size}")
    put(folder, f"{info}/RECORD", "\n".join(rows) + "\n")


@pytest.fixture
def packages(tmp_path):
    folder = tmp_path / "packages"
    for name, content in FILES.items():
        put(folder, name, content)
    bridges, solo = (name for name in FILES if name.startswith("bridges")), ("Solo.py", "native.abi3.so")
    install(folder, "aibridge-1.0.dist-info", "aibridge/_app/server.py")
    install(folder, "Bridges-2.0.dist-info", *bridges)
    install(folder, "so_lo-1.0.post1.dist-info", *solo)
    put(
        tmp_path,
        "requirements.txt",
        "# made by hand\nbridges==2.0 \\\n    --hash=sha256:0\nso-lo==1.0.post1 ; a == 'b'\nabsent==1\n",
    )
    return folder


@pytest.fixture
def verified(packages, tmp_path):
    """Verify them; the result is kept unless `kept` names nothing that can be written."""

    def run(kept=tmp_path / "cache/verified.json"):
        return verify(packages, [tmp_path / "requirements.txt"], kept)

    return run


def test_what_is_as_it_was_installed_can_be_imported_and_nothing_else(verified, packages):
    put(packages, "foreign.py", "")
    put(packages, "foreign-1.0.dist-info/METADATA", "Name: foreign")
    put(packages, "bridges/__pycache__/arch.cpython-311.pyc", "never read")
    for _ in range(2):  # the second time by what was kept
        finder = verified()
        assert finder.find_spec("bridges").origin == str(packages / "bridges/__init__.py")
        assert finder.find_spec("Solo").origin == str(packages / "Solo.py")
        assert [finder.find_spec(name) for name in ("foreign", "os", "bridges-2")] == [None, None, None]
        assert finder.find_spec("bridges", ["/somewhere"]) is None


def test_only_packages_of_the_lock_are_known_to_the_standard_library(verified, packages, monkeypatch):
    from importlib import metadata

    put(packages, "foreign-1.0.dist-info/METADATA", "Name: foreign")
    for info, name in {"Bridges-2.0": "bridges", "so_lo-1.0.post1": "so-lo", "aibridge-1.0": "aibridge"}.items():
        put(packages, f"{info}.dist-info/METADATA", f"Name: {name}\nVersion: 7\n")
        with (packages / f"{info}.dist-info/RECORD").open("a") as record:
            digest = hashlib.sha256(f"Name: {name}\nVersion: 7\n".encode()).digest()
            record.write(
                f"{info}.dist-info/METADATA,sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},\n"
            )
    monkeypatch.setattr(sys, "meta_path", [verified()])
    assert sorted(one.name for one in metadata.distributions()) == ["aibridge", "bridges", "so-lo"]
    assert metadata.version("So.Lo") == "7"


@for_each("is_known", True, False)
@for_each(
    ("name", "why"),
    ("bridges/arch.py", "was changed: the RECORD of its package has another hash"),
    ("native.abi3.so", "was changed: the RECORD of its package has another hash"),
    ("bridges/added.py", "belongs to no package that AI Bridge was installed with"),
    ("bridges/arch/__init__.py", "belongs to no package that AI Bridge was installed with"),  # before arch.py
    ("bridges/arch.pyc", "belongs to no package that AI Bridge was installed with"),
    ("Solo/__init__.py", "belongs to no package that AI Bridge was installed with"),  # before Solo.py
    ("native.so", "belongs to no package that AI Bridge was installed with"),
    ("aibridge/_app/json.py", "belongs to no package that AI Bridge was installed with"),  # before Python's own
    ("Bridges-2.0.dist-info/entry_points.txt", "belongs to no package that AI Bridge was installed with"),
)
def test_a_file_that_was_changed_or_that_no_package_has_is_named(name, why, is_known, packages, verified):
    before = FILES.get(name)
    if is_known:
        verified()
    put(packages, name, "foreign")
    with pytest.raises(ChangedError) as raised:
        verified()
    assert str(raised.value) == f"{packages / name} {why}"
    if before is None:
        (packages / name).unlink()
    else:
        put(packages, name, before)
    verified()


def test_a_change_is_seen_that_keeps_size_and_time(packages, verified):
    verified()
    path = packages / "bridges/arch.py"
    status = path.stat()
    path.write_text("STONES = 8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    with pytest.raises(ChangedError, match="was changed"):
        verified()


@for_each(
    ("row", "why"),
    ("bridges/more.py,,", "has no hash"),
    ("bridges/more.py", "has no hash"),
    ("bridges/more.py,md5=AAAA,1", "has no hash"),
    ("bridges/more.py,sha256=AAAA,1", "was changed"),
)
def test_a_file_without_a_good_hash_is_refused(row, why, packages, verified):
    record = packages / "Bridges-2.0.dist-info/RECORD"
    before = record.read_text()
    record.write_text(before + row + "\n")
    put(packages, "bridges/more.py", "MORE = 1")
    with pytest.raises(ChangedError, match=f"bridges/more.py {why}"):
        verified()
    record.write_text(before)
    (packages / "bridges/more.py").unlink()


def test_a_package_without_a_record_and_one_in_two_versions_are_refused(packages, verified):
    record = packages / "Bridges-2.0.dist-info/RECORD"
    record.rename(packages / "RECORD")
    with pytest.raises(ChangedError, match=r"Bridges-2.0.dist-info/RECORD cannot be read: No such file"):
        verified()
    (packages / "RECORD").rename(record)
    (packages / "bridges-1.0.dist-info").mkdir()
    with pytest.raises(ChangedError, match=r"bridges-1.0.dist-info is there beside another version of bridges"):
        verified()
