"""Fills in what the documents say of the code: the values of constants, and where each setting comes from.

`make docs-tables` rewrites the pages; a test fails while they are not what this would write. The words beside a constant
are written by hand, where they are read.
"""

from __future__ import annotations

import importlib
import re
import textwrap
from pathlib import Path

from settings import Setting, declared

ROOT = Path(__file__).parent.parent
SETTINGS_PAGE = ROOT / "docs" / "configuration.md"

_CONSTANT = re.compile(r"^\| `(?P<name>[a-z_.0-9]+\.[A-Z][A-Z_]+)` \|(?P<value>[^|\n]*)\|", re.MULTILINE)
_BYTES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
_ADDRESS_OF_VENDOR = "default: the address of the type's vendor"


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
        for setting in declared():
            heading, _, rest = re.split(rf"(?ms)(?<=^### {setting.name}\n\n)(.*?)(?=\n\n)", text, maxsplit=1)
            text = heading + origin(setting) + rest
    return text


def constants(text: str) -> list[str]:
    """The constants that a page has a row for."""
    return [match["name"] for match in _CONSTANT.finditer(text)]


def origin(setting: Setting) -> str:
    """The line below a setting's heading: its flag, its variables and its default."""
    parts = [
        f"`{setting.flag}`" if setting.flag else "environment only",
        f"`{setting.env}`" + (f" or `{setting.env_file}`" if setting.secret else ""),
        f"falls back to `{setting.fallback}`" if setting.fallback else "",
        f"default `{setting.default}`" if setting.default else "",
    ]
    if setting.default is None:
        parts.append(_ADDRESS_OF_VENDOR if setting.name.endswith("base-url") else "must be given")
    return textwrap.fill(" · ".join(filter(None, parts)), 120, break_long_words=False, break_on_hyphens=False)


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
