"""How `make docs` renders the pages: by Sphinx, MyST and Furo, from the same Markdown that is read without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handlers.openapi.document import openapi_document
from handlers.openapi.reference import reference
from version import VERSION

project = html_title = "AI Bridge"
extensions = ["myst_parser"]
html_theme = "furo"
html_show_copyright = html_show_sphinx = html_show_sourcelink = html_copy_source = False

root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/generated/*.md"]
exclude_patterns = [".*", "dashboard", "data", "tests"]  # large folders without a page
myst_heading_anchors = 4

CHAPTERS = {
    "For everybody": ["docs/first-hour", "docs/using", "docs/clients", "docs/dashboard", "docs/not-included", "docs/glossary"],
    "For operators": ["docs/configuration", "docs/operations", "docs/desk", "docs/releasing", "docs/limits", "docs/policies", "docs/recording", "docs/performance", "SECURITY"],
    "For developers": ["docs/api", "docs/generated/reference", "docs/architecture", "CONTRIBUTING", "CHANGELOG"],
}  # fmt: skip
"""The pages in the order of the navigation. Sphinx fails where one is missing here, or is not there."""


def setup(app: Any) -> None:
    """Write the reference, and add to Sphinx what follows."""
    generated = Path(app.srcdir, "docs", "generated")
    generated.mkdir(exist_ok=True)
    (generated / "reference.md").write_text(reference(openapi_document(VERSION)), encoding="utf-8")
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_index)


def add_navigation(_app: Any, page: str, source: list[str]) -> None:
    """Give the first page the chapters, which would be a block of code where it is read without Sphinx."""
    if page == root_doc:
        for chapter, pages in CHAPTERS.items():
            source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {chapter}", "", *pages, "```", ""])


def add_index(app: Any, _error: Exception | None) -> None:
    """Lead who opens the folder to the first page."""
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html"><title>{project}</title>\n'
    Path(app.outdir, "index.html").write_text(page, encoding="utf-8")
