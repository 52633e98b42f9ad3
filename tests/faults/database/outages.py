"""Outages of a database, each as long as its context lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.storage.outages import PrivateMongoDB


@asynccontextmanager
async def frozen(mongod: PrivateMongoDB) -> AsyncIterator[None]:
    """It takes what it is sent and never answers."""
    mongod.freeze()
    try:
        yield
    finally:
        mongod.thaw()


@asynccontextmanager
async def killed(mongod: PrivateMongoDB) -> AsyncIterator[None]:
    """It is gone at once, and later there again."""
    await mongod.kill()
    try:
        yield
    finally:
        await mongod.start()
