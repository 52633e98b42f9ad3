"""`/` and `/dashboard/..`: the web pages, their scripts and styles, and the few files they need of other packages."""

from __future__ import annotations

import base64
import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from handlers.base import BridgeHandler
from handlers.bridge import Bridge
from handlers.problems import Problem
from intercept.secrets import scrub_quoted
from version import VERSION

ROOT = Path(__file__).parents[1] / "dashboard"
INDEX = "index.html"
NOT_INSTALLED = "not-installed.html"
_PAGES = (INDEX, NOT_INSTALLED)
# Of the npm packages, only these files are served; the import map of the index has their names.
LIBRARIES = (
    "node_modules/preact/dist/preact.mjs",
    "node_modules/preact/hooks/dist/hooks.mjs",
    "node_modules/htm/dist/htm.module.js",
    "node_modules/htm/preact/index.module.js",
    "node_modules/uplot/dist/uPlot.esm.js",
    "node_modules/uplot/dist/uPlot.min.css",
)
# Placeholder in the page for the version of the server.
_VERSION = b"{version}"
# Placeholder in the page for the modules that its first view needs: all at once instead of one after the other as they import
# one another.
_PRELOAD = b"{preload}"
_FIRST = ("js/main.js", "js/views/overview/overview.js")
_IMPORT = re.compile(r'^import .* from "(\..+?)";$', re.MULTILINE)
# Where a page names a file.
_ADDRESS = re.compile(rb'"(\./)?dashboard/')
_EDITION = re.compile(r"([0-9a-f]{16})/(.+)", re.DOTALL)
# Whether a browser checks a file at each use, or never again.
_REVALIDATE = "no-cache"
_IMMUTABLE = "public, max-age=31536000, immutable"
_IMPORT_MAP = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript"}  # whatever the system's own table says
_POLICY = (
    "default-src 'none'; script-src 'self'{import_map}; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True)
class File:
    """A file as it is sent, plain and compressed; `policy` is its Content-Security-Policy."""

    changed_ns: int
    edition: str
    media_type: str
    plain: bytes
    compressed: bytes
    tag: str
    policy: str


class DashboardFiles:
    """The files that a browser may have, by their path below the folder. Each is read when it is requested and has changed.

    Pages name files by addresses with their edition in it, so that a browser keeps them until one has changed.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        own = [entry for entry in root.iterdir() if entry.name != "node_modules"]  # thousands of files
        paths = [path for entry in own for path in (entry, *entry.rglob("*")) if path.suffix in {".js", ".css", ".svg"}]
        self._paths = {path.relative_to(root).as_posix(): path for path in paths}
        self._paths |= {name: root / name for name in (*_PAGES, *LIBRARIES)}
        self._files: dict[str, File] = {}
        self._edition = ""
        self._edition_of: list[tuple[str, int, int]] = []

    @property
    def installed(self) -> bool:
        """Whether the libraries are there."""
        return all(self._paths[name].is_file() for name in LIBRARIES)

    def page(self) -> tuple[int, File]:
        """The page with its status: 503 and what to do while the libraries are not there."""
        if self.installed:
            return 200, self._read(INDEX, self.edition())
        return 503, self._read(NOT_INSTALLED, self.edition())

    def edition(self) -> str:
        """A digest of all files but the pages, 16 characters: it changes with any of them."""
        there = {name: path for name, path in self._paths.items() if name not in _PAGES and path.is_file()}
        status = ((name, path.stat()) for name, path in there.items())
        changed = [(name, one.st_mtime_ns, one.st_size) for name, one in status]
        if changed != self._edition_of:
            digest = hashlib.sha256()
            for name, path in sorted(there.items()):
                digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
            self._edition, self._edition_of = digest.hexdigest()[:16], changed
        return self._edition

    def without_edition(self, name: str) -> tuple[str, bool]:
        """The name of a file without the edition that may stand before it, and whether that is the present one."""
        found = _EDITION.fullmatch(name)
        return (found[2], found[1] == (self._edition or self.edition())) if found else (name, False)

    def find(self, name: str) -> File | None:
        """A file; None if there is none, or it is not for browsers."""
        if name in _PAGES or name not in self._paths or not self._paths[name].is_file():
            return None
        return self._read(name)

    def _read(self, name: str, edition: str = "") -> File:
        path = self._paths[name]
        changed_ns = path.stat().st_mtime_ns
        known = self._files.get(name)
        if known is None or (known.changed_ns, known.edition) != (changed_ns, edition):
            self._files[name] = known = _file(path, changed_ns, edition, self._preload() if name == INDEX else b"")
        return known

    def _preload(self) -> bytes:
        """Links to the modules of the first view, and to the libraries."""
        modules: dict[Path, None] = {}
        rest = [self._root / name for name in _FIRST]
        while rest:
            module = rest.pop().resolve()
            if module not in modules:
                modules[module] = None
                rest += [module.parent / name for name in _IMPORT.findall(module.read_text())]
        own = [module.relative_to(self._root.resolve()).as_posix() for module in modules]
        names = (*(name for name in LIBRARIES if name.endswith(("js", "mjs"))), *own)
        return "\n    ".join(f'<link rel="modulepreload" href="dashboard/{name}">' for name in names).encode()


def _file(path: Path, changed_ns: int, edition: str, preload: bytes) -> File:
    content = path.read_bytes()
    if path.suffix == ".html":
        content = content.replace(_VERSION, VERSION.encode()).replace(_PRELOAD, preload)
        content = _ADDRESS.sub(rb'"\1dashboard/' + edition.encode() + b"/", content)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return file_of(content, kind, changed_ns, edition)


def file_of(content: bytes, kind: str, changed_ns: int, edition: str) -> File:
    """A file of a content and a media type; see `File`."""
    scripts = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _IMPORT_MAP.findall(content)]
    return File(
        changed_ns=changed_ns,
        edition=edition,
        media_type=kind if kind == "image/svg+xml" else f"{kind}; charset=utf-8",
        plain=content,
        compressed=gzip.compress(content, mtime=0),
        tag=f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',
        policy=_POLICY.format(import_map="".join(f" 'sha256-{script}'" for script in scripts)),
    )


class DashboardHandler(BridgeHandler):
    """Serves the dashboard without authentication: its data comes from the API, which needs a token."""

    def initialize(self, bridge: Bridge, files: DashboardFiles) -> None:  # type: ignore[override]
        """Receive the running bridge, and the files."""
        super().initialize(bridge)
        self._files = files

    async def get(self, name: str = "") -> None:
        """Send a file, or 304 if the client has it.

        Raises:
            Problem: 404, there is no such file.
        """
        own_name, lasts = self._files.without_edition(name)
        status, file = (200, self._files.find(own_name)) if name else self._files.page()
        if file is None:
            raise Problem(404, f"not found: {self.request.method} {scrub_quoted(self.request.path)}")
        self.send(status, file, lasts=lasts)

    def send(self, status: int, file: File, *, lasts: bool) -> None:
        """Send a file, or 304 if the client has it; `lasts` says that the address has another content never."""
        self.set_header("Content-Security-Policy", file.policy)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", _IMMUTABLE if lasts else _REVALIDATE)
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Etag", file.tag)
        if status == 200 and self.check_etag_header():  # noqa: PLR2004 - it says OK
            self.set_status(304)
            return
        self.set_status(status)
        self.set_header("Content-Type", file.media_type)
        compressed = "gzip" in self.request.headers.get("Accept-Encoding", "")
        if compressed:
            self.set_header("Content-Encoding", "gzip")
        self.write(file.compressed if compressed else file.plain)
