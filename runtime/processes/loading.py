"""Imported first, it pauses Python's garbage collector until `end` is called.

Loading modules leaves no garbage. Collecting meanwhile would take a sixth of the start of a program, and a first search
through everything that was loaded another eighth.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

_was_enabled = gc.isenabled()
gc.disable()


def end(*, was_enabled: bool = _was_enabled) -> None:
    """Resume garbage collection, if there was any: all modules are loaded. What there is now stays, so none looks at it."""
    gc.freeze()
    if was_enabled:
        gc.enable()


def load(module: str, name: str) -> Any:
    """Import in the same way what the program turned out to need."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return getattr(import_module(module), name)
    finally:
        end(was_enabled=was_enabled)
