"""Runs a program of the installed bridge: `python -I -S isolated.py MODULE NAME [ARGUMENTS]`, as the command `aibridge` does.

`MODULE` is one of this tree and has a function `main`; `NAME` is what the program is called by. `-I` and `-S` keep Python
from running what else is there: `*.pth` files, `sitecustomize`, `usercustomize`, what `PYTHON*` variables name, modules of
the current folder. Packages are verified before one is imported, see `runtime.verification`; not with `--no-verify`.

Compiled modules are read from the data-dir alone, since no RECORD has hashes of those beside the modules.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
PACKAGES = TREE.parents[1]
"""Where the packages are that the wheel was installed with."""
UNVERIFIED = "--no-verify"
_DATA_DIR = "--data-dir"


def command(program: Path) -> list[str]:
    """The command that runs a program of the tree in a process of its own, as this one.

    It has the arguments of this process, for the data-dir that they name.
    """
    if not sys.flags.no_site:
        return [sys.executable, str(program)]
    module = ".".join(program.relative_to(TREE).with_suffix("").parts)
    unverified = [UNVERIFIED] if str(PACKAGES) in sys.path else []
    return [sys.executable, "-I", "-S", __file__, module, str(program), *sys.argv[1:], *unverified]


def cache_of(arguments: list[str], environ: Mapping[str, str], default: str) -> Path:
    """The folder for compiled modules and the result of verification, in the data-dir that a command line names.

    It has to be this account's, and no other may write there: what is compiled is run.
    """
    given = environ.get("AIBRIDGE_DATA_DIR") or environ.get("CODER_AIBRIDGE_DATA_DIR") or default
    for word, following in pairwise([*arguments, ""]):
        name, is_set, value = word.replace("--aibridge-", "--").partition("=")
        if name == _DATA_DIR:
            given = (value if is_set else following) or given
    folder = Path(given).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return Path(os.devnull)
    is_ours = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return folder / "cache" if is_ours else Path(os.devnull)


def run(module: str) -> None:
    """Import a module of the tree, with the verified packages, and run its `main`."""
    sys.pycache_prefix = os.devnull
    sys.path.insert(0, str(TREE))
    installation = import_module("installation")
    cache = cache_of(sys.argv[1:], os.environ, installation.default_data_dir())
    sys.pycache_prefix = str(cache / "modules")
    if UNVERIFIED in sys.argv:
        sys.argv.remove(UNVERIFIED)
        sys.path.append(str(PACKAGES))
    else:
        verification = import_module("runtime.verification")
        try:
            sys.meta_path.append(verification.verify(PACKAGES, TREE.glob("requirements*.txt"), cache / "verified.json"))
        except (verification.ChangedError, OSError) as error:
            sys.exit(
                f"AI Bridge does not start: {error}.\nInstall it again, in an environment of its own. "
                f"If you changed this yourself: aibridge {UNVERIFIED}"
            )
    sys.exit(import_module(module).main())


if __name__ == "__main__":
    _, name, *sys.argv = sys.argv
    run(name)
