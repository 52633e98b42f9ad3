"""Fills in the tables of settings.

`make docs-tables` rewrites their page; a test fails while it is not what this would write.
"""

from __future__ import annotations

import re
from pathlib import Path

from settings import Setting, declared

ROOT = Path(__file__).parent.parent
SETTINGS_PAGE = ROOT / "docs" / "configuration.md"

_SETTINGS = re.compile(r"(?m)(?<=^\| setting \| value \| default \| \|\n\|---\|---\|---\|---\|\n)(?:\|.*\n)*")


def filled(text: str) -> str:
    """The text of the page of settings with those of today."""
    tables = iter(_tables(text))
    return _SETTINGS.sub(lambda _: next(tables), text)


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


def main() -> None:
    """Rewrite the page."""
    SETTINGS_PAGE.write_text(filled(SETTINGS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
