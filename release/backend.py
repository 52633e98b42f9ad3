"""Builds the wheel and the source distribution: `python release/backend.py FOLDER`, or pip by its hooks (PEP 517).

The wheel carries this tree as it is, as `aibridge/_app/`, and the command `aibridge`. Nothing but the standard library is
needed. The same commit gives the same bytes: names are sorted, and every file has the time of the commit, or that of
`SOURCE_DATE_EPOCH`. The wheel is not compressed, so no version of a compressor changes it.
"""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
FOLDERS = (
    *("commands", "dashboard", "deploy", "handlers", "http1", "intercept", "limits", "resources", "runtime"),
    *("settings", "storage", "upstream", "verify"),
)
SUFFIXES = frozenset({".py", ".toml", ".html", ".css", ".js", ".svg"})
"""What the product reads. Of deploy every file is taken."""
LOCKS = ("requirements.txt", "requirements-azure.txt", "requirements-embedded.txt")
FILES = (
    *("README.md", "SECURITY.md", "CHANGELOG.md"),
    *("deadline.py", "installation.py", "server.py", "version.py", *LOCKS),
)
OF_THE_SOURCE = (
    "LICENSE",
    "pyproject.toml",
    "release/aibridge",
    "release/backend.py",
    "dashboard/package-lock.json",
)
"""What is in the source distribution beside what is installed."""
EXTRAS = {
    **dict.fromkeys(("aws", "google", "otel"), "requirements.txt"),
    "azure": "requirements-azure.txt",
    "embedded": "requirements-embedded.txt",
}
"""The file that pins what each extra installs."""
FIRST_TIME = 315532800
"""1 January 1980, the first that a zip file can say."""


class Pin(NamedTuple):
    """A package of a lock: its name, its version as a requirement has it, for which systems, and who asks for it."""

    name: str
    version: str
    marker: str
    via: frozenset[str]


def pins(root: Path, lock: str) -> list[Pin]:
    """The packages that a file of requirements pins."""
    entries = re.split(r"\n(?=[a-zA-Z])", re.sub(r"\A(#.*\n)+", "", (root / lock).read_text()))
    found = []
    for entry in entries:
        name, version, marker = re.match(r"([\w.-]+)(==[^\s;]+)\s*(?:;\s*(.*?))?\s*\\\n", entry).groups()  # type: ignore[union-attr]
        via = re.findall(r"^ +#(?: via)? +(?!via$)(.+)$", entry, re.MULTILINE)
        found.append(Pin(name, version, marker or "", frozenset(via)))
    return found


def wanted(locked: list[Pin], group: str) -> set[str]:
    """The names of what a group of pyproject.toml asks for, and of all that those need."""
    names, before = {one.name for one in locked if f"aibridge (pyproject.toml:{group})" in one.via}, 0
    while len(names) > before:
        before = len(names)
        names |= {one.name for one in locked if one.via & names}
    return names


def requirements(root: Path) -> Iterator[str]:
    """What the wheel requires, each pinned to the one version that was tested."""
    server = wanted(pins(root, "requirements.txt"), "server")
    yield from (_requirement(one) for one in pins(root, "requirements.txt") if one.name in server)
    for extra, lock in sorted(EXTRAS.items()):
        locked = pins(root, lock)
        names = wanted(locked, extra) or {one.name for one in locked}
        yield from (_requirement(one, extra) for one in locked if one.name in names - server)


def _requirement(pin: Pin, extra: str = "") -> str:
    conditions = [f"({pin.marker})" if extra and pin.marker else pin.marker, extra and f'extra == "{extra}"']
    marker = " and ".join(filter(None, conditions))
    return f"{pin.name}{pin.version}" + (f" ; {marker}" if marker else "")


def commit(root: Path) -> tuple[str, int]:
    """The commit that is built, with `+changed` if files differ from it, and its time in seconds since 1970."""
    if (root / ".git").exists() and which("git"):
        name, seconds = _git(root, "log", "-1", "--format=%H %ct").split()
        changed = "+changed" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""
        return name + changed, int(seconds)
    if (root / "COMMIT").is_file():
        name, seconds = (root / "COMMIT").read_text().split()
        return name, int(seconds)
    return "unknown", FIRST_TIME


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"the commit cannot be found: {done.stderr}")
    return done.stdout


def _libraries(root: Path) -> Iterator[str]:
    """The few files of npm packages that the dashboard serves, and the licences of those packages."""
    source = ast.parse((root / "handlers/dashboard.py").read_text())
    (names,) = [
        ast.literal_eval(one.value)
        for one in source.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "LIBRARIES"
    ]
    for name in [f"dashboard/{one}" for one in names]:
        if not (root / name).is_file():
            raise SystemExit(
                f"{name} is missing: the dashboard's libraries come from npm. Run this in the folder of AI Bridge first:\n"
                "    npm ci --omit=dev --ignore-scripts --prefix dashboard"
            )
        yield name
        yield "/".join(name.split("/")[:3]) + "/LICENSE"


def installed(root: Path) -> dict[str, bytes]:
    """Each file that is installed, by its path in the tree."""
    names = set(FILES) | set(_libraries(root))
    names |= {path.relative_to(root).as_posix() for path in (root / "docs").glob("*.md")}
    for folder in FOLDERS:
        for path in (root / folder).rglob("*"):
            below = path.relative_to(root)
            is_made = not {"__pycache__", "node_modules"}.isdisjoint(below.parts)
            if path.is_file() and not is_made and (folder == "deploy" or path.suffix in SUFFIXES):
                names.add(below.as_posix())
    built, seconds = commit(root)
    return {name: (root / name).read_bytes() for name in sorted(names)} | {"COMMIT": f"{built} {seconds}\n".encode()}


def metadata(root: Path) -> str:
    """The text of METADATA, which says what the package is and requires."""
    project: Mapping[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {version(root)}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        *(f"License-File: {one}" for one in project["license-files"]),
        f"Requires-Python: {project['requires-python']}",
        *(f"Provides-Extra: {extra}" for extra in sorted(EXTRAS)),
        *(f"Requires-Dist: {one}" for one in requirements(root)),
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + "\n\n" + (root / str(project["readme"])).read_text()


def version(root: Path) -> str:
    """The version that version.py has."""
    return next(
        line.split('"')[1] for line in (root / "version.py").read_text().splitlines() if line.startswith("VERSION")
    )


def sbom(root: Path) -> bytes:
    """The bill of materials (CycloneDX 1.6): what the wheel has in it or requires, as it is pinned, and who needs what."""
    built, _ = commit(root)
    own = f"pkg:pypi/aibridge@{version(root)}"
    base = wanted(pins(root, "requirements.txt"), "server")
    locked = {one.name: one for lock in LOCKS for one in pins(root, lock)}
    refs = {name: f"pkg:pypi/{name}@{one.version.removeprefix('==')}" for name, one in locked.items()}
    components: list[dict[str, Any]] = [
        {
            "type": "library",
            "bom-ref": refs[name],
            "name": name,
            "version": one.version.removeprefix("=="),
            "scope": "required" if name in base else "optional",
            "purl": refs[name],
        }
        for name, one in sorted(locked.items())
    ]
    packages = json.loads((root / "dashboard/package-lock.json").read_text())["packages"]
    for library in sorted({one.split("/")[2] for one in _libraries(root)}):
        entry = packages[f"node_modules/{library}"]
        purl = f"pkg:npm/{library}@{entry['version']}"
        digest = base64.b64decode(entry["integrity"].removeprefix("sha512-")).hex()
        components.append(
            {
                "type": "library",
                "bom-ref": purl,
                "name": library,
                "version": entry["version"],
                "scope": "required",
                "hashes": [{"alg": "SHA-512", "content": digest}],
                "licenses": [{"license": {"id": entry["license"]}}],
                "purl": purl,
            }
        )
        refs[library] = purl
    roots = sorted(refs[one] for one in refs if one not in locked or not locked[one].via & set(locked))
    needs = [{"ref": own, "dependsOn": roots}]
    needs += [
        {"ref": refs[name], "dependsOn": sorted(refs[one.name] for one in locked.values() if name in one.via)}
        for name in sorted(locked)
    ]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_time())),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "aibridge",
                "version": version(root),
                "licenses": [{"license": {"id": "MIT"}}],
                "purl": own,
                "properties": [{"name": "aibridge:commit", "value": built}],
            },
        },
        "components": components,
        "dependencies": needs,
    }
    return json.dumps(bill, indent=1).encode() + b"\n"


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: object = None) -> str:  # noqa: ARG001 - PEP 517
    """Write the wheel into a folder, and return its name."""
    stem = f"aibridge-{version(ROOT)}"
    info, data = f"{stem}.dist-info", f"{stem}.data"
    files = {f"aibridge/_app/{name}": content for name, content in installed(ROOT).items()}
    files |= {
        f"{data}/scripts/aibridge": (ROOT / "release/aibridge").read_bytes(),
        f"{info}/METADATA": metadata(ROOT).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: aibridge\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/licenses/LICENSE": (ROOT / "LICENSE").read_bytes(),
        f"{info}/sboms/aibridge.cdx.json": sbom(ROOT),  # where PEP 770 has them
    }
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    at = time.gmtime(max(_time(), FIRST_TIME))[:6]
    name = f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_STORED) as wheel:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, at)
            entry.create_system = 3  # Unix: the mode counts
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            wheel.writestr(entry, content)
    return name


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    """The hash and the size of each file, as RECORD has them."""
    lines = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own},,\n"]).encode()


def _time() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH") or commit(ROOT)[1])


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:  # noqa: ARG001 - PEP 517
    """Write the source distribution into a folder, and return its name."""
    stem = f"aibridge-{version(ROOT)}"
    files = installed(ROOT) | {name: (ROOT / name).read_bytes() for name in OF_THE_SOURCE}
    files["PKG-INFO"] = metadata(ROOT).encode()
    packed, at = io.BytesIO(), _time()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), at, 0o644
            archive.addfile(entry, io.BytesIO(content))
    name = f"{stem}.tar.gz"
    (Path(sdist_directory) / name).write_bytes(gzip.compress(packed.getvalue(), 6, mtime=at))
    return name


if __name__ == "__main__":
    folder = Path(sys.argv[1] if sys.argv[1:] else "dist")
    folder.mkdir(parents=True, exist_ok=True)
    for build in (build_wheel, build_sdist):
        print(folder / build(str(folder)))  # noqa: T201
