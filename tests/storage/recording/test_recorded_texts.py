"""Texts that a policy restricts: what must not be kept is never written, not even on the way to the database."""

import threading

import pytest

from intercept.recording import KINDS, Keep, Recording
from intercept.records import Conversation, ModelResponse, ModelThought, ProviderError, Reading, ToolUsage, UserPrompt
from intercept.restricted_texts import Texts
from storage.recording import recorder as recorder_module
from tests.bridge import until
from tests.storage.recording.test_recorder import opened, settled
from tests.storage.records import ending, interception

WORD, MAIL = "xylophone", "ada@example.com"
TEXT = f"{WORD} of {MAIL}"


def call(**kept):
    tool = ToolUsage(provider_response_id="r", provider_tool_call_id="t", tool="Bash", input=TEXT)
    thought, response = ModelThought(content=TEXT, source="thinking"), ModelResponse(text=TEXT)
    reading = Reading(tool_usages=(tool,), model_thoughts=(thought,), response=response)
    start = interception(
        user_prompt=UserPrompt(prompt=TEXT),
        client_session_id=None,
        conversation=Conversation(key=b"0123456789abcdef"),
        recording=Recording(**kept),
    )
    return start, ending(error=ProviderError(type="invalid", message=TEXT), reading=reading)


def texts_of(document):
    entries = [*(document[name][0] for name in ("user_prompts", "tool_usages", "model_thoughts")), document["response"]]
    texts = [entry[name] for entry, name in zip(entries, ("prompt", "input", "content", "text"), strict=True)]
    return [*texts, document["error"]["message"]], [entry["metadata"].get("recording") for entry in entries]


async def closed(_seconds):
    """Stands for a recorder that is closed already."""


class HeldTexts(Texts):
    """Looks through texts when it may; a failure where it is to fail."""

    def __init__(self, error=None):
        super().__init__(b"secret")
        self.may = threading.Event()
        self._error = error

    def ended(self, start, end):
        self.may.wait(30)
        if self._error:
            raise self._error
        return super().ended(start, end)


@pytest.mark.expects_log(r"^WARNING storage\.recording\.outbox\.writer: records wait: ")
@pytest.mark.parametrize("keep", [Keep.HASHED, Keep.NONE])
async def test_what_is_not_to_be_kept_is_never_on_disk(unreachable, tmp_path, log_watch, keep):
    start, end = call(**dict.fromkeys(KINDS, keep))
    async with opened(unreachable, tmp_path, texts=Texts(b"secret")) as recorder:
        await recorder.start(start)
        recorder.end(start, end)
        await recorder._wait_for_texts(10)
        recorder._write_ends()
        await until(lambda: log_watch.has("records wait"))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"invalid" in written
    assert b"Bash" in written
    for text in (WORD.encode(), MAIL.encode(), b"0123456789abcdef"):
        assert text not in written
    assert (b"hmac-sha256:" in written) is (keep is Keep.HASHED)


async def test_a_flush_waits_for_texts_that_are_being_redacted(database, tmp_path):
    texts = HeldTexts()
    start, end = call(tool_inputs=Keep.HASHED)
    async with opened(database, tmp_path, strict=True, texts=texts) as recorder:
        await recorder.start(start)
        recorder.end(start, end)
        assert recorder.queue_length >= 1
        assert await recorder.flush(0.01)
        assert (await database.interceptions.find_one())["status"] == "in_flight"
        texts.may.set()
        document = await settled(database, recorder)
    assert document["tool_usages"][0]["input"].startswith("hmac-sha256:")
    assert document["user_prompts"][0]["prompt"] == TEXT


async def test_a_stopping_server_records_the_end_without_texts_that_were_not_redacted(database, tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module, "TEXT_SECONDS", 0.01)
    texts = HeldTexts()
    start, end = call(**dict.fromkeys(KINDS, Keep.REDACTED))
    async with opened(database, tmp_path, texts=texts) as recorder:
        await recorder.start(start)
        recorder.end(start, end)
        await recorder.close(10)
        monkeypatch.setattr(recorder, "close", closed)
    texts.may.set()
    (document,) = await database.interceptions.find().to_list(None)
    assert document["status"] == "completed"
    assert texts_of(document)[0] == [""] * 5


@pytest.mark.expects_log(r"^ERROR storage\.recording\.recorder: texts of interception \S+ cannot be redacted")
async def test_texts_that_cannot_be_redacted_are_not_recorded(database, tmp_path):
    texts = HeldTexts(ValueError("no pattern"))
    texts.may.set()
    start, end = call(**dict.fromkeys(KINDS, Keep.REDACTED))
    async with opened(database, tmp_path, texts=texts) as recorder:
        await recorder.start(start)
        recorder.end(start, end)
        document = await settled(database, recorder)
    assert texts_of(document)[0] == [""] * 5
