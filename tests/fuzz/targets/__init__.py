"""What is fuzzed. A target is a module here with three names:

- `check(data)`: pure; reads the bytes and raises `AssertionError` where what must always hold does not.
- `SEEDS`: what the fuzzer starts from.
- `WORDS`: what it puts into inputs, as it would not come upon them by chance.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

MAX_PROCESSOR_SECONDS = 2.0
"""Of one check of at most 4 KiB, in pieces of one byte included. Instrumented code is several times as slow."""


@dataclass(frozen=True)
class Target:
    name: str
    seeds: Sequence[bytes]
    words: Sequence[bytes]
    _check: Callable[[bytes], None]

    def check(self, data: bytes) -> None:
        """Check one input, and that it takes little of the processor.

        Raises:
            AssertionError: What must hold does not.
        """
        began = time.process_time()
        self._check(data)
        spent = time.process_time() - began
        assert spent < MAX_PROCESSOR_SECONDS, f"{spent:.1f} s of processor time for {len(data)} bytes"


def names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load(name: str) -> Target:
    """Import a target by its name here, or by the full name of a module elsewhere."""
    module = import_module(name if "." in name else f"{__name__}.{name}")
    return Target(name, module.SEEDS, module.WORDS, module.check)


def cut(data: bytes, most: int = 8) -> list[bytes]:
    """Cut bytes into pieces, always the same for the same bytes."""
    chance = random.Random(zlib.crc32(data))
    places = sorted(chance.choices(range(len(data) + 1), k=chance.randint(1, most)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
