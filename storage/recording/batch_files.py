"""The files that batches of OpenAI's have put out, noted in the records of the calls that made the batches."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from intercept.ids import in_any_case
from storage.mongo.database import Database

ANSWER_SECONDS = 2.0
"""How long the database may take."""
ROUTES = ("/v1/batches", "/openai/batches")
"""The routes of calls that make a batch."""


async def note_files(
    database: Database, initiator_id: UUID, provider_name: str, batch_id: str, files: Sequence[str]
) -> None:
    """Note the files of a batch that a call of this user to this provider has made. Again is harmless.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    made = _made(initiator_id, provider_name, batch_id)
    async with database.within(ANSWER_SECONDS):
        await database.interceptions.update_many(
            made, {"$addToSet": {"request_ids": {"$each": list(map(in_any_case, files))}}}
        )


async def batch_of_file(database: Database, initiator_id: UUID, provider_name: str, file_id: str) -> str | None:
    """The batch of this user whose output a file is; None where none is noted.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    made = _made(initiator_id, provider_name, file_id)
    async with database.within(ANSWER_SECONDS):
        document = await database.interceptions.find_one(made, {"response_id": True})
    return None if document is None else document.get("response_id")


def _made(initiator_id: UUID, provider_name: str, id_: str) -> dict[str, object]:
    return {
        "request_ids": in_any_case(id_),
        "initiator_id": initiator_id,
        "provider_name": provider_name,
        "route": {"$in": list(ROUTES)},
    }
