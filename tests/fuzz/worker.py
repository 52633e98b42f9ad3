"""One target under Atheris. It instruments our modules, and mutates inputs that reach new code.

python -m tests.fuzz.worker TARGET CORPUS [-flag of libFuzzer ...]
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import atheris

from tests.fuzz.targets import Target, load

OURS = ["intercept", "upstream", "http1", "storage.queries.filters.search_language"]
MAX_INPUT_BYTES = 4 * 1024


def main() -> None:
    name, corpus, *flags = sys.argv[1:]
    with atheris.instrument_imports(include=OURS):
        target = load(name)
    words = Path(f"{corpus}.words")
    write_start(target, Path(corpus), words)

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except BaseException:
            sys.stdout.write(f"the input, in base64: {base64.b64encode(data).decode()}\n")
            raise

    atheris.Setup([sys.argv[0], corpus, f"-dict={words}", f"-max_len={MAX_INPUT_BYTES}", *flags], check)
    atheris.Fuzz()


def write_start(target: Target, corpus: Path, words: Path) -> None:
    """Write what a target starts from as files, as libFuzzer wants them."""
    for number, seed in enumerate(target.seeds):
        if len(seed) <= MAX_INPUT_BYTES:
            (corpus / str(number)).write_bytes(seed)
    escaped = ("".join(rf"\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{word}"\n' for word in escaped))


if __name__ == "__main__":
    main()
