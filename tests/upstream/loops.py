"""Both event loops: what a connection may count on differs between them in small ways."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

on_both_loops = pytest.mark.parametrize(
    "new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
