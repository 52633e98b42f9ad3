"""Which process has which spool, and what becomes of those that no process has any more.

A server of one process keeps its spool in the folder itself. Of several processes each takes the numbered folder below
it with the lowest number that is free. What a process that is gone left behind is brought to the database by the next
one that takes the same folder, or by any that looks around. Folders stay when they are empty: to remove one that another
process is just about to lock would give it a spool that is nowhere.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from pathlib import Path

from storage.mongo.clocks import Pause
from storage.mongo.database import Database
from storage.recording.outbox.outbox import Outbox
from storage.recording.outbox.pending_write import RecordPolicy
from storage.recording.outbox.spool import SUFFIX, Spool, SpoolLockedError
from storage.recording.outbox.writer import Writer

SCAN_SECONDS = 30.0
"""From one scan for records that other processes left to the next."""

_log = logging.getLogger(__name__)


def claim_numbered(folder: Path) -> Spool:
    """Open the first spool below a folder that no other process has.

    Raises:
        OSError: The folder is unusable.
    """
    for number in itertools.count(1):
        try:
            return Spool(folder / str(number))
        except SpoolLockedError:
            continue
    raise AssertionError  # numbers do not end


async def adopt(folder: Path, database: Database, *, pause: Pause = asyncio.sleep) -> None:
    """Write the records that exited processes left in or below a folder to the database, every `SCAN_SECONDS`, until cancelled.

    Any number of processes may do this at the same time.
    """
    while True:
        for spool_folder in _with_records(folder):
            await _write_to_database(spool_folder, database)
        await pause(SCAN_SECONDS)


def _with_records(folder: Path) -> list[Path]:
    return [one for one in (folder, *folder.glob("[0-9]*/")) if any(one.glob("*" + SUFFIX))]


async def _write_to_database(folder: Path, database: Database) -> None:
    """Write a spool to the database and wait for that, unless a process has it."""
    try:
        spool = await asyncio.to_thread(Spool, folder)  # it reads every file
    except SpoolLockedError:
        return
    except OSError as error:
        _log.warning("records in %s cannot be read: %s", folder, error.strerror)
        return
    _log.info("records that a process left behind: %d, in %s", spool.records, folder)
    outbox = Outbox(spool, policy=RecordPolicy.SPOOL)
    writer = Writer(database, outbox)
    try:
        while not await outbox.flush(SCAN_SECONDS):
            pass
    finally:
        await writer.close(0)
