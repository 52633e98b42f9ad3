"""Runs a program of the installed bridge: `python -I -S isolated.py MODULE NAME [ARGUMENTS]`, as the command `aibridge` does.

`MODULE` is one of this tree and has a function `main`; `NAME` is what the program is called by. `-I` and `-S` keep Python
from running what else is there: `*.pth` files, `sitecustomize`, `usercustomize`, what `PYTHON*` variables name, modules of
the current folder. So the folders that modules are found in are set here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
PACKAGES = TREE.parents[1]
"""Where the packages are that the wheel was installed with."""


def command(program: Path) -> list[str]:
    """The command that runs a program of the tree in a process of its own, isolated if this process is."""
    if not sys.flags.no_site:
        return [sys.executable, str(program)]
    module = ".".join(program.relative_to(TREE).with_suffix("").parts)
    return [sys.executable, "-I", "-S", __file__, module, str(program)]


if __name__ == "__main__":
    _, name, *sys.argv = sys.argv
    sys.path = [str(TREE), *sys.path, str(PACKAGES)]
    sys.exit(import_module(name).main())
