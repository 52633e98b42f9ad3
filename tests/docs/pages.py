"""The Markdown pages of the repository, read as far as tests need it."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def page(name):
    return (ROOT / name).read_text()


@cache
def prose(name):
    """A page without its code blocks."""
    return _FENCE.sub("", page(name))


def blocks(name, language):
    """The code blocks in a language."""
    return [code for marked, code in _FENCE.findall(page(name)) if marked == language]


@cache
def headings(name, level):
    return re.findall(rf"^{'#' * level} (.+)$", prose(name), re.MULTILINE)


def section(name, heading):
    """What stands below a heading, up to the next one of its level or above."""
    start = re.search(rf"^(#+) {re.escape(heading)}$", prose(name), re.MULTILINE)
    assert start, f"{name} has no section {heading!r}"
    following = prose(name)[start.end() :]
    return re.split(rf"^#{{1,{len(start[1])}}} ", following, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    """The rows of all tables in a text as tuples of cells."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def first_cells(text, title):
    """The first column of the table whose first column has that title, without its backticks."""
    _, _, below = text.partition(f"| {title} |")
    table = below.split("\n\n", 1)[0]
    return [row[0].strip("`") for row in rows(table) if row[0].startswith("`")]


def anchor(heading):
    """The fragment by which a heading is linked to."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@cache
def code(name):
    """What stands in backticks in the prose of a page."""
    return re.findall(r"`([^`\n]+)`", prose(name))
