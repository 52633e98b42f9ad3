"""Fills in what the documents say of the code: the values of constants, and the tables of settings.

`make docs-tables` rewrites the pages; a test fails while they are not what this would write. The words beside a constant
are written by hand, where they are read.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from settings import Setting, declared

ROOT = Path(__file__).parent.parent
SETTINGS_PAGE = ROOT / "docs" / "configuration.md"

_CONSTANT = re.compile(r"^\| `(?P<name>[a-z_.0-9]+\.[A-Z][A-Z_]+)` \|(?P<value>[^|\n]*)\|", re.MULTILINE)
_BYTES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
_SETTINGS = re.compile(r"(?m)(?<=^\| setting \| value \| default \| \|\n\|---\|---\|---\|---\|\n)(?:\|.*\n)*")


def pages() -> list[Path]:
    """The pages that are filled in."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def filled(page: Path, text: str) -> str:
    """The text of a page with the values of today.

    Raises:
        ImportError, AttributeError: a constant is named that there is not.
    """
    text = _CONSTANT.sub(_row, text)
    if page == SETTINGS_PAGE:
        tables = iter(_tables(text))
        text = _SETTINGS.sub(lambda _: next(tables), text)
    return text


def constants(text: str) -> list[str]:
    """The constants that a page has a row for."""
    return [match["name"] for match in _CONSTANT.finditer(text)]


def _tables(page: str) -> list[str]:
    """The rows of the settings of each topic, in the order of the help; a name leads to its section, if it has one."""
    tables: dict[str, str] = {}
    for setting in declared():
        name = (
            f"[`{setting.name}`](#{setting.name.lower()})" if f"\n### {setting.name}\n" in page else f"`{setting.name}`"
        )
        tables[setting.topic] = tables.get(setting.topic, "") + (
            f"| {name} | {_value(setting)} | {_default(setting)} | {setting.help} |\n"
        )
    return list(tables.values())


def _value(setting: Setting) -> str:
    kind = setting.kind.name.replace("|", ", ")
    return f"{kind}, environment only" if setting.flag is None else kind


def _default(setting: Setting) -> str:
    return f"`{setting.default}`" if setting.default else ("" if setting.default is not None else "must be given")


def _row(match: re.Match[str]) -> str:
    module, _, constant = match["name"].rpartition(".")
    value = getattr(importlib.import_module(module), constant)
    return f"| `{match['name']}` | {format_constant(constant, value, match['value'])} |"


def format_constant(name: str, value: float, before: str = "") -> str:
    """A value with its unit: the one that stands there, else the one that the name of the constant says.

    Args:
        name: The constant's, without its module.
        value: In bytes, seconds, or whatever is counted.
        before: What the cell says so far.
    """
    unit = re.sub(r"[\d,.\s]+", "", before)
    if unit in _BYTES or name.endswith("_BYTES"):
        unit = next((unit for unit, size in _BYTES.items() if value % size == 0), "bytes")
        return f"{value // _BYTES.get(unit, 1):,} {unit}"
    if unit in {"s", "ms"} or name.endswith("_SECONDS"):
        return f"{value:,.0f} s" if value == int(value) else f"{value * 1000:,.0f} ms"
    return f"{value:,} {unit}".rstrip()


def main() -> None:
    """Rewrite the pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(page, text), encoding="utf-8")


if __name__ == "__main__":
    main()
