"""How far the derived figures are: one document, which the job changes together with the figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bson.binary import Binary

from storage.mongo.database import Database, Session, with_plain_ids

JOB: Final = {"_id": "job"}
"""Finds the document, in the collection `derived`.

It has `position`, behind the last change that was added (see `storage.mongo.change_stream`), and `collection`, the one that it
is a position of; `time`, until when that is all; `recount`, while days are counted again; and `lease`, which process does it.
"""


async def read_state(database: Database, session: Session | None = None) -> dict[str, Any]:
    """Read the document; empty while there is none. Whatever the driver raises passes."""
    return await with_plain_ids(database.derived).find_one(JOB, session=session) or {}


async def followed_collection(database: Database) -> Binary:
    """Return what MongoDB knows the collection of interceptions by: in a copy of the database that is another.

    There a position may be one all the same, with all that was copied behind it, as if it had ended since then. Whatever the
    driver raises passes.
    """
    interceptions = with_plain_ids(database.interceptions)
    listed = {"listCollections": 1, "filter": {"name": interceptions.name}}
    reply = await interceptions.database.command(listed, codec_options=interceptions.codec_options)
    identifier: Binary = reply["cursor"]["firstBatch"][0]["info"]["uuid"]
    return identifier


async def counted_until(database: Database, session: Session | None = None) -> datetime | None:
    """Return until when every call that ended is in the figures; None where none is, or they are counted again just now.

    Whatever the driver raises passes.
    """
    state = await read_state(database, session)
    return None if "recount" in state else state.get("time")
