"""The server without one of its tricks, to measure the gain of that trick.

    .venv/bin/python -m benchmarks.gateways.without TRICK [arguments of server.py]

`python -m benchmarks.gateways --without TRICK` measures one beside the server as it is. A trick that shows less than 5 %
in the rows with a real wait (`--row wait`) and in bursts (`--row burst`) has to go. Modules are imported where they are
changed, as only the server's process may have them.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from uuid import uuid4


def _in_step() -> None:
    """A request takes its steps alone, even while many are in progress."""
    from handlers.dataplane.proxy import ProxyHandler

    async def go_on(self: ProxyHandler) -> None:
        """Let no other request go first."""

    ProxyHandler.in_step = go_on  # type: ignore[method-assign]


def _waiting_ends() -> None:
    """The end of a call is recorded when it comes, not together with others."""
    from storage.recording import recorder

    recorder.ENDS_TOGETHER = 1


def _prompt_blocks() -> None:
    """Records have no checksums of the blocks of requests."""
    from intercept import blocks

    def no_blocks(*_args: object) -> None:
        """Read none."""

    vars(blocks).update(read_blocks=no_blocks, pack_blocks=no_blocks)


def _merged_starts() -> None:
    """The start of a call goes to the database at once, and its end follows as an update."""
    from storage.recording.outbox import tail

    tail.START_SECONDS = 0


def _gathered_records() -> None:
    """Records go to the database as soon as those before are written."""
    from storage.recording.outbox import tail

    tail.GATHER_SECONDS = 0


def _ordered_ids() -> None:
    """Ids are in no order."""
    from runtime import ids

    ids.time_ordered_ids = lambda *_args: iter(uuid4, None)


def _known_prices() -> None:
    """The price of a model is looked up and worked out for each call."""
    from storage.costs import prices

    prices.MODELS_REMEMBERED = 0
    vars(prices)["Prices"]._tariff = staticmethod(prices._worked_out)


def _known_series() -> None:
    """The series of metrics are found by the library."""
    from handlers.operation import metrics

    metrics.series = lambda metric: metric.labels


def _frozen_objects() -> None:
    """The garbage collector looks at all objects."""
    gc.freeze = lambda: None


def _switch_interval() -> None:
    """A computing thread yields to the event loop after Python's own 5 ms."""
    sys.setswitchinterval = lambda _seconds: None


def _read_together() -> None:
    """A stream is read in pieces of 512 bytes, about an event each."""
    from intercept.dialects import readers

    readers.READ_TOGETHER_BYTES = 512  # type: ignore[misc]


TRICKS: dict[str, Callable[[], None]] = {
    "in_step": _in_step,
    "waiting_ends": _waiting_ends,
    "prompt_blocks": _prompt_blocks,
    "merged_starts": _merged_starts,
    "gathered_records": _gathered_records,
    "ordered_ids": _ordered_ids,
    "known_prices": _known_prices,
    "known_series": _known_series,
    "frozen_objects": _frozen_objects,
    "switch_interval": _switch_interval,
    "read_together": _read_together,
}


def main() -> None:
    """Serve without it."""
    TRICKS[sys.argv.pop(1)]()
    from server import main as serve

    sys.exit(serve())


if __name__ == "__main__":
    main()
