from uuid import UUID

import pytest

from storage.mongo.database import DatabaseUnavailableError
from storage.recording.batch_files import batch_of_file, note_files
from tests.storage.queries.test_interceptions import BOB_ID, made
from tests.storage.records import ADA

OPENAI = "openai"


async def keep_batch(database, number=1, **changes):
    fields = {"route": "/v1/batches", "initiator_id": ADA.id, "provider_name": OPENAI} | changes
    await database.interceptions.insert_one(made(number, **fields))


@pytest.mark.gen_test
async def test_the_files_of_a_batch_are_found_by_its_user_and_provider_alone(database):
    await keep_batch(database)
    assert await batch_of_file(database, ADA.id, OPENAI, "file-1") is None
    for _ in range(2):
        await note_files(database, ADA.id, OPENAI, "resp_1", ["file-1", "file-2"])
    assert [await batch_of_file(database, ADA.id, OPENAI, f"file-{number}") for number in (1, 2, 3)] == [
        "resp_1",
        "resp_1",
        None,
    ]
    assert await batch_of_file(database, BOB_ID, OPENAI, "file-1") is None
    assert await batch_of_file(database, ADA.id, "azure", "file-1") is None
    (document,) = await database.interceptions.find({"request_ids": "file-1"}).to_list(None)
    assert document["request_ids"].count("file-1") == 1


@pytest.mark.gen_test
async def test_files_are_noted_for_nothing_but_a_batch_of_the_user(database):
    await keep_batch(database, 1, route="/v1/responses")
    await keep_batch(database, 2, initiator_id=BOB_ID)
    for number in (1, 2, 3):
        await note_files(database, ADA.id, OPENAI, f"resp_{number}", ["file-1"])
    assert await database.interceptions.find({"request_ids": "file-1"}).to_list(None) == []


@pytest.mark.gen_test
async def test_without_the_database_the_error_says_so(unreachable):
    for requested in (
        note_files(unreachable, ADA.id, OPENAI, "batch_1", ["file-1"]),
        batch_of_file(unreachable, UUID(int=1), OPENAI, "file-1"),
    ):
        with pytest.raises(DatabaseUnavailableError):
            await requested
