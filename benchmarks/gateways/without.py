"""The server without one of its tricks, to measure the gain of that trick.

    .venv/bin/python -m benchmarks.gateways.without TRICK [arguments of server.py]

`python -m benchmarks.gateways --without TRICK` measures one beside the server as it is. A trick that shows less than 5 %
in the rows with a real wait (`--row wait`) and in bursts (`--row burst`) has to go.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def _in_step() -> None:
    """A request takes its steps alone, even while many are in progress."""
    from handlers.dataplane.proxy import ProxyHandler  # noqa: PLC0415 - only in the server's process

    async def go_on(self: ProxyHandler) -> None:
        """Let no other request go first."""

    ProxyHandler.in_step = go_on  # type: ignore[method-assign]


def _waiting_ends() -> None:
    """The end of a call is recorded when it comes, not together with others."""
    from storage.recording import recorder  # noqa: PLC0415 - only in the server's process

    recorder.ENDS_TOGETHER = 1


def _prompt_blocks() -> None:
    """Records have no checksums of the blocks of requests."""
    from intercept import blocks  # noqa: PLC0415 - only in the server's process

    def no_blocks(*_args: object) -> None:
        """Read none."""

    vars(blocks).update(read_blocks=no_blocks, pack_blocks=no_blocks)


TRICKS: dict[str, Callable[[], None]] = {
    "in_step": _in_step,
    "waiting_ends": _waiting_ends,
    "prompt_blocks": _prompt_blocks,
}


def main() -> None:
    """Serve without it."""
    TRICKS[sys.argv.pop(1)]()
    from server import main as serve  # noqa: PLC0415 - after what it uses has been changed

    sys.exit(serve())


if __name__ == "__main__":
    main()
