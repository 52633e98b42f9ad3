"""The `openai` package's uploads through the bridge: each user has their own, and the file that one becomes is theirs."""

import json

import pytest

from handlers.dataplane.services import ownership
from tests.sdk.libraries import openai_sdk
from tests.sdk.wiring import essence, record, whole

UPLOAD = {
    "id": "upload_1",
    "object": "upload",
    "bytes": 12,
    "created_at": 1790000000,
    "expires_at": 1790003600,
    "filename": "requests.jsonl",
    "purpose": "batch",
    "status": "pending",
    "file": None,
}
PART = {"id": "part_1", "object": "upload.part", "created_at": 1790000001, "upload_id": "upload_1"}
FILE = {
    "id": "file-1",
    "object": "file",
    "bytes": 12,
    "created_at": 1790000002,
    "filename": "requests.jsonl",
    "purpose": "batch",
    "status": "processed",
}
DONE = UPLOAD | {"status": "completed", "file": FILE}
DATA = b"\r\n--not a boundary\x00\xff"


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(ownership, "WRITTEN_SECONDS", 0)


async def play(running, response):
    running.upstream.scripts.clear()
    running.upstream.play(*whole(response))


async def begin(running, openai):
    await play(running, UPLOAD)
    made = await openai.uploads.create(bytes=12, filename="requests.jsonl", mime_type="text/jsonl", purpose="batch")
    assert made.id == "upload_1"
    await running.ended(1)


@pytest.mark.gen_test
async def test_an_upload_is_filled_and_completed_and_its_file_is_the_users(running, openai):
    await begin(running, openai)
    await play(running, PART)
    assert (await openai.uploads.parts.create("upload_1", data=DATA)).id == "part_1"
    sent = running.upstream.requests[-1]
    assert (sent.target, DATA in sent.body) == ("/v1/uploads/upload_1/parts", True)
    await play(running, DONE)
    completed = await openai.uploads.complete("upload_1", part_ids=["part_1"])
    assert completed.file.id == "file-1"
    assert json.loads(running.upstream.requests[-1].body) == {"part_ids": ["part_1"]}
    assert [essence(one) for one in await running.ended(2)] == [record("openai", model="default")] * 2
    await play(running, FILE)
    assert (await openai.files.retrieve("file-1")).filename == "requests.jsonl"


@pytest.mark.gen_test
async def test_an_upload_can_be_cancelled(running, openai):
    await begin(running, openai)
    await play(running, UPLOAD | {"status": "cancelled"})
    assert (await openai.uploads.cancel("upload_1")).status == "cancelled"
    await running.ended(1)


@pytest.mark.gen_test
async def test_an_upload_of_somebody_else_is_not_there(running, wiring, openai):
    await begin(running, openai)
    requested = len(running.upstream.requests)
    other = wiring.openai(api_key=(await running.user("grace"))["Authorization"].removeprefix("Bearer "))
    for refused in (
        other.uploads.parts.create("upload_1", data=DATA),
        other.uploads.complete("upload_1", part_ids=["part_1"]),
        other.uploads.cancel("upload_1"),
        other.files.retrieve("file-1"),
    ):
        with pytest.raises(openai_sdk.NotFoundError, match="No recorded response, batch or file of yours has this id"):
            await refused
    assert len(running.upstream.requests) == requested
