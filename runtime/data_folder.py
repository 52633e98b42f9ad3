"""Makes the data-dir private to the server's account: its spool has prompts, and the token of the demo is there."""

from __future__ import annotations

import contextlib
import logging
import stat
from pathlib import Path

OURS = frozenset({"cache", "lock", "metrics", "mongodb", "spool", "demo-token", "lost+found"})
"""What may be in a folder that is the bridge's own. One with anything else in it is shared with somebody."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_log = logging.getLogger(__name__)


def make_private(folder: Path) -> None:
    """Create the data-dir if it is missing, and remove all permissions of other accounts.

    A folder that holds what is not ours, such as `/var/lib`, keeps its permissions, and so does one of another account.
    Then what is ours in it is made private, and a warning says what to do. A folder that cannot be used at all fails
    later, at its first use.
    """
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {entry.name for entry in folder.iterdir()}
        for name in names & OURS - {"lost+found"}:
            _close(folder / name)
        shared = sorted(names - OURS)
        if not _mode(folder) & _OTHERS:
            return
        if shared:
            why = f'it has other files in it, such as "{shared[0]}": set data-dir to a folder of the bridge\'s own'
        elif _close(folder):
            return
        else:
            why = "it belongs to another account: let that one run `chmod 700` on it"
        _log.warning("the data-dir %s is open to other accounts (mode %03o), and %s", folder, _mode(folder), why)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _close(path: Path) -> bool:
    """Return whether other accounts have no permissions any more."""
    mode = _mode(path)
    try:
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS & 0o777)
    except PermissionError:
        return False
    return True
