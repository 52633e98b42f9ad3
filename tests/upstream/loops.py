"""Both event loops. They differ in small ways that matter to a connection."""

import asyncio

import pytest
import uvloop

on_both_loops = pytest.mark.parametrize(
    "new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
