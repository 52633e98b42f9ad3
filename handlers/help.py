"""`/help`: the documents of this version of the bridge, as pages."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

from handlers.bridge import Bridge
from handlers.dashboard import DashboardFiles, DashboardHandler, File, file_of
from handlers.openapi.document import openapi_document
from handlers.openapi.reference import TITLE, reference
from handlers.problems import Problem
from installation import COMMAND, IS_INSTALLED
from intercept.secrets import scrub_quoted
from version import VERSION

ROOT = Path(__file__).parents[1]
FIRST = "readme"
REFERENCE = "reference"
_IN_A_CLONE = ".venv/bin/python server.py"
PAGES: Final[Mapping[str, Path]] = {
    path.stem.lower(): path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "SECURITY.md", ROOT / "CHANGELOG.md")
}
"""The documents that are written by hand, by their names in addresses, in the order of the list beside each."""


class Documents:
    """Makes pages of Markdown, each when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, bool], File] = {}
        self._titles: dict[str, str] = {}

    def page(self, name: str, edition: str, *, is_below: bool) -> File | None:
        """A document as a page; None if there is none of that name.

        Args:
            name: One of `PAGES`, or `REFERENCE`.
            edition: That of the files of the dashboard, whose stylesheets it has.
            is_below: Whether its address is below `/help`, which tells how links have to begin.
        """
        if name not in PAGES and name != REFERENCE:
            return None
        key = name, edition, is_below
        if key not in self._made:
            root = "../" if is_below else ""
            content = self._page(name, f"{root}help/", f"{root or './'}", f"{root}dashboard/{edition}/")
            self._made[key] = file_of(content.encode(), "text/html", 0, edition)
        return self._made[key]

    def _page(self, name: str, pages: str, dashboard: str, files: str) -> str:
        self._titles = self._titles or {one: _title(_read(one)) for one in PAGES} | {REFERENCE: _title(TITLE)}
        here = ' aria-current="page"'
        links = [
            f'<li><a href="{pages}{one}"{here if one == name else ""}>{html.escape(title)}</a></li>'
            for one, title in self._titles.items()
        ]
        return _TEMPLATE.format(
            title=html.escape(self._titles[name]),
            files=files,
            dashboard=dashboard,
            links="\n".join(links),
            text=rendered(reference(openapi_document(VERSION)) if name == REFERENCE else _read(name), pages),
        )


def _read(name: str) -> str:
    text = PAGES[name].read_text()
    return text.replace(_IN_A_CLONE, COMMAND) if IS_INSTALLED else text


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def anchor(heading: str) -> str:
    """The fragment by which a heading is linked to, as code hosts make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def rendered(text: str, pages: str) -> str:
    """HTML of a document; links to other documents begin with `pages`. Pictures are left out.

    A link to a file that is no page becomes its text.
    """
    from markdown_it import MarkdownIt  # noqa: PLC0415 - a start does not wait for what few ask for

    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(text)
    for before, inline in pairwise(tokens):
        if before.attrs.pop("style", ""):  # of a column of numbers; the page's policy forbids it
            before.attrSet("class", "number")
        if before.type == "heading_open":
            before.attrSet("id", anchor(inline.content))
        if inline.children:
            inline.children = [child for child in inline.children if child.type != "image"]
            for link in inline.children:
                if link.type == "link_open":
                    _point(link.attrs, pages)
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _point(attributes: dict[str, str | int | float], pages: str) -> None:
    """Let a link lead to the page of a document."""
    address = str(attributes["href"])
    if re.match(r"[a-z]+:|#", address):
        return
    path, hash_, fragment = address.partition("#")
    name = Path(path).stem.lower()
    if name in PAGES and path.endswith(".md"):
        attributes["href"] = f"{pages}{name}{hash_}{fragment}"
    else:
        del attributes["href"]


class HelpHandler(DashboardHandler):
    """Serves the documents without authentication: they are the same everywhere."""

    def initialize(self, bridge: Bridge, files: DashboardFiles, documents: Documents) -> None:  # type: ignore[override]
        """Receive the running bridge, the files of the dashboard, and the documents."""
        super().initialize(bridge, files)
        self._documents = documents

    async def get(self, name: str | None = None) -> None:
        """Send a page, or 304 if the client has it.

        Raises:
            Problem: 404, there is no such page.
        """
        # The reference takes half a second, once.
        page = await asyncio.to_thread(
            self._documents.page, name or FIRST, self._files.edition(), is_below=name is not None
        )
        if page is None:
            raise Problem(404, f"not found: {self.request.method} {scrub_quoted(self.request.path)}")
        self.send(200, page, lasts=False)


_TEMPLATE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{title} · AI Bridge</title>
    <link rel="icon" href="{files}icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="{files}css/base.css">
    <link rel="stylesheet" href="{files}css/parts.css">
    <link rel="stylesheet" href="{files}css/frame.css">
    <link rel="stylesheet" href="{files}css/help.css">
  </head>
  <body>
    <header class="top"><a class="brand" href="{dashboard}">AI Bridge</a></header>
    <main class="help">
      <nav aria-label="Documents"><ul>
{links}
      </ul></nav>
      <article>
{text}
      </article>
    </main>
  </body>
</html>
"""
