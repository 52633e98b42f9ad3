"""Holds the installed packages against their RECORD before one of their modules is imported.

RECORD is the list of a package's files with their hashes that an installer keeps (PyPA specifications, "Recording installed
projects"). Looked at are the packages that the lock names, and nothing else can be imported. What was found right is not
hashed again while size, times and inode of every file are as they were.

Imports the standard library alone: nothing else is trusted yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import Distribution, DistributionFinder

HASHES = frozenset({"sha256", "sha384", "sha512"})


class ChangedError(Exception):
    """A file is not what was installed. The text says which one."""


class InstalledFile(NamedTuple):
    """A file below the folder of packages, and what changes when it does."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int


class Known(NamedTuple):
    """What was verified: the state of the files then, and the entries of the folder that they belong to."""

    state: str
    entries: list[str]


class Packages:
    """Finds modules, and what is known of their packages, among those that were verified. It belongs in `sys.meta_path`.

    Args:
        folder: That of the packages.
        infos: The names of the packages' `.dist-info` folders.
        entries: What belongs to them in the folder: packages, modules, `.dist-info` folders.
    """

    def __init__(self, folder: Path, infos: Iterable[str], entries: Iterable[str]) -> None:
        self._folder = folder
        self._infos = list(infos)
        self._modules = _stems(entries)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 - of import
        """Find a module that is in no package; Python itself finds those in packages, by the paths of these."""
        return PathFinder.find_spec(name, [str(self._folder)]) if path is None and name in self._modules else None

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        """What `importlib.metadata` is to know: no plug-in of another package."""
        from importlib.metadata import PathDistribution  # noqa: PLC0415 - rarely needed, and slow

        for info in self._infos:
            if context.name is None or _normalized(context.name) == _normalized(info.partition("-")[0]):
                yield PathDistribution(self._folder / info)


def verify(folder: Path, locks: Iterable[Path], kept: Path) -> Packages:
    """Verify the packages in a folder that files of requirements name, and AI Bridge itself.

    Args:
        folder: Where they are installed.
        locks: The files of requirements.
        kept: Where the result is kept for the next start; nothing is if it cannot be written.

    Raises:
        ChangedError: A file differs from its RECORD, or none names it.
    """
    infos = _infos(folder, {"aibridge"}.union(*map(_names, locks)))
    known = _read(kept)
    if known and _state(_files(folder, known.entries), infos) == known.state:
        return Packages(folder, infos, known.entries)
    hashes = {path: text for info in infos for path, text in _record(folder, info)}
    entries = sorted({path.partition("/")[0] for path in hashes} - {"__pycache__"})
    files = _files(folder, entries)
    for file in files:
        _check(folder, file.path, hashes)
    _write(kept, Known(_state(files, infos), entries))
    return Packages(folder, infos, entries)


def _normalized(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _names(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE))


def _infos(folder: Path, names: set[str]) -> list[str]:
    """The `.dist-info` folders of packages that have these names."""
    infos = [name for name in os.listdir(folder) if name.endswith(".dist-info")]  # noqa: PTH208 - names
    named = [(_normalized(info.partition("-")[0]), info) for info in infos]
    found = sorted((name, info) for name, info in named if name in names)
    for (name, info), (other, _) in zip(found[1:], found, strict=False):
        if name == other:
            raise ChangedError(f"{folder / info} is there beside another version of {name}")
    return [info for _, info in found]


def _record(folder: Path, info: str) -> Iterator[tuple[str, str]]:
    """The paths that a package's RECORD names in the folder, each with its hash; the RECORD itself has none."""
    import csv  # noqa: PLC0415 - rarely needed

    try:
        with (folder / info / "RECORD").open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except OSError as error:
        raise ChangedError(f"{error.filename} cannot be read: {error.strerror}") from error
    for path, *more in rows:
        if not path.startswith(("..", "/")):
            yield path, "" if path == f"{info}/RECORD" else (*more, "?")[0] or "?"


def _stems(entries: Iterable[str]) -> frozenset[str]:
    """The names under which entries of the folder can be imported."""
    return frozenset(entry.partition(".")[0] for entry in entries if not entry.endswith(".dist-info"))


def _files(folder: Path, entries: Iterable[str]) -> list[InstalledFile]:
    """The files of these entries, and of others that would be imported under the same names."""
    wanted, stems, files = frozenset(entries), _stems(entries), []
    folders = [(str(folder), "")]
    while folders:
        at, prefix = folders.pop()
        with os.scandir(at) as found:
            for entry in found:
                if not prefix and entry.name not in wanted and entry.name.partition(".")[0] not in stems:
                    continue
                if entry.is_dir():
                    if entry.name != "__pycache__":  # not read, see `isolated`
                        folders.append((entry.path, f"{prefix}{entry.name}/"))
                    continue
                status = entry.stat()
                times = (status.st_mtime_ns, status.st_ctime_ns)
                files.append(InstalledFile(prefix + entry.name, status.st_size, *times, status.st_ino))
    return sorted(files)


def _check(folder: Path, path: str, hashes: Mapping[str, str]) -> None:
    if path not in hashes:
        raise ChangedError(f"{folder / path} belongs to no package that AI Bridge was installed with")
    if not hashes[path]:
        return
    kind, _, digest = hashes[path].partition("=")
    if kind not in HASHES:
        raise ChangedError(f"{folder / path} has no hash in the RECORD of its package")
    with (folder / path).open("rb") as file:
        found = hashlib.file_digest(file, kind).digest()
    if urlsafe_b64encode(found).rstrip(b"=").decode() != digest:
        raise ChangedError(f"{folder / path} was changed: the RECORD of its package has another hash")


def _state(files: Iterable[InstalledFile], infos: Iterable[str]) -> str:
    """What is another one as soon as anything that was verified is."""
    return hashlib.sha256(json.dumps([sys.version, list(infos), list(files)]).encode()).hexdigest()


def _read(kept: Path) -> Known | None:
    with suppress(OSError, ValueError, TypeError):
        return Known(**json.loads(kept.read_bytes()))
    return None


def _write(kept: Path, known: Known) -> None:
    new = kept.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_text(json.dumps(known._asdict()))
        new.replace(kept)
