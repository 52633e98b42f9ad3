"""How far the derived figures are: one document, which the job changes together with the figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from storage.mongo.database import Database, Session, with_plain_ids

JOB: Final = {"_id": "job"}
"""Finds the document, in the collection `derived`.

It has `position`, behind the last change that was added (see `storage.mongo.change_stream`); `time`, until when that is all;
`recount`, while days are counted again; and `lease`, which process does it.
"""


async def read_state(database: Database, session: Session | None = None) -> dict[str, Any]:
    """Read the document; empty while there is none. Whatever the driver raises passes."""
    return await with_plain_ids(database.derived).find_one(JOB, session=session) or {}


async def counted_until(database: Database, session: Session | None = None) -> datetime | None:
    """Return until when every call that ended is in the figures; None where none is, or they are counted again just now.

    Whatever the driver raises passes.
    """
    state = await read_state(database, session)
    return None if "recount" in state else state.get("time")
