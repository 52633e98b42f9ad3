"""The page of figures. Each benchmark writes its own part of it."""

from __future__ import annotations

import platform
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/performance.md"
PICTURE = ROOT / "docs/performance.svg"


def with_section(page: str, name: str, content: str) -> str:
    """A page with another text between the comments `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises:
        ValueError: the comments are not there.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no section {name!r}")
    return f"{before}{begin}\n{content}\n\n{end}{after}"


def write_section(name: str, content: str) -> None:
    """Replace a section of the page of figures."""
    PAGE.write_text(with_section(PAGE.read_text(), name, content))


def machine() -> str:
    """The processor, its cores, the memory and the system of this machine."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    cores = Path("/proc/cpuinfo").read_text().count("processor\t:")
    size = f", {int(memory[1]) / 2**20:.0f} GiB" if memory else ""
    return f"{model[1] if model else platform.machine()}, {cores} cores{size}, Linux {platform.release()}"
