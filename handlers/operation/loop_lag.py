"""How late the event loop runs: the first sign that a server has more to do than it can."""

from __future__ import annotations

import asyncio

SAMPLE_SECONDS = 0.5


class LoopLag:
    """Measures by how much a short sleep is exceeded. `seconds` is the latest sample."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def watch(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            self.seconds = max(0.0, loop.time() - due)
