"""Waiting for the real world."""

from __future__ import annotations

import asyncio
import time


async def until(condition, seconds=20):
    """Wait for a condition on what tells nobody when it changes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)
