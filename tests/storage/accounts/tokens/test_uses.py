from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts.tokens import uses as token_uses
from storage.accounts.tokens.uses import NOTE_SECONDS, WRITE_SECONDS, TokenUses
from storage.accounts.users import Identity, Role, TokenUse, User
from storage.mongo.database import DatabaseUnavailableError
from tests.storage.records import NOON

ADA, BOB = (
    User(id=UUID(int=number), username=name, display_name=name, role=Role.MEMBER, created_at=NOON)
    for number, name in ((1, "ada"), (2, "bob"))
)
CODEX = ("Codex", "203.0.113.9")


def identity(token_id="tokenOfAda", user=ADA):
    return Identity(user=user, token_id=token_id)


def use(seconds=0, client="Codex", client_ip="203.0.113.9", user=ADA):
    return TokenUse(user_id=user.id, at=NOON + timedelta(seconds=seconds), client=client, client_ip=client_ip)


class Clock:
    seconds = 0.0

    def now(self):
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def uses(database, clock):
    return TokenUses(database, now=clock.now, monotonic=clock.monotonic)


@pytest.mark.gen_test
async def test_a_token_that_is_used_all_the_time_is_noted_now_and_then(uses, clock):
    requested = []
    for _ in range(4 * int(NOTE_SECONDS)):
        uses.note(identity(), lambda: requested.append(clock.seconds) or CODEX)
        clock.seconds += 0.5
    assert requested == [0.0, NOTE_SECONDS]


@pytest.mark.gen_test
async def test_an_earlier_use_that_is_written_late_changes_nothing(uses, clock, database):
    elsewhere = TokenUses(database, now=clock.now, monotonic=clock.monotonic)
    uses.note(identity(), lambda: ("early", ""))
    clock.seconds = 1
    elsewhere.note(identity(), lambda: ("late", ""))
    await elsewhere.flush()
    await uses.close()
    assert await uses.of_tokens(["tokenOfAda"]) == {"tokenOfAda": use(1, "late", "")}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20))))
def test_what_waits_is_bounded_however_many_tokens_are_used(noted):
    clock = Clock()
    uses = TokenUses(None, now=clock.now, monotonic=clock.monotonic)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_uses, "MAX_NOTED", 10)
        for number, seconds in noted:
            clock.seconds += seconds
            uses.note(identity(str(number)), lambda: CODEX)
            assert len(uses._pending) <= 10
            assert len(uses._due) <= 10


@pytest.mark.usefixtures("impatient")
@pytest.mark.gen_test
async def test_what_the_database_did_not_take_waits_for_it(uses, unreachable, monkeypatch):
    monkeypatch.setattr(token_uses, "ANSWER_SECONDS", 0.02)
    uses.note(identity(), lambda: CODEX)
    there, uses._database = uses._database, unreachable
    with pytest.raises(DatabaseUnavailableError):
        await uses.flush()
    await uses.close()
    uses._database = there
    monkeypatch.undo()
    await uses.flush()
    assert await uses.of_tokens(["tokenOfAda"]) == {"tokenOfAda": use()}


@pytest.mark.gen_test
async def test_a_use_that_is_noted_while_an_earlier_one_is_written_is_written_too(uses, clock):
    async def note_another():
        clock.seconds = NOTE_SECONDS
        uses.note(identity(), lambda: ("$curl", ""))

    uses.note(identity(), lambda: CODEX)
    await asyncio.gather(uses.flush(), note_another())  # the first is on its way to the database by then
    assert await uses.of_tokens(["tokenOfAda"]) == {"tokenOfAda": use(NOTE_SECONDS, "$curl", "")}


@pytest.mark.gen_test
async def test_uses_are_written_every_few_seconds_until_that_is_cancelled(database, clock):
    paused, written = [], []

    async def pause(seconds):
        paused.append(seconds)
        written.append(await background.of_tokens(["one", "two"]))
        if len(paused) == 3:
            raise asyncio.CancelledError
        token_id = ("one", "two")[len(paused) - 1]
        background.note(identity(token_id), lambda: CODEX)

    background = TokenUses(database, now=clock.now, monotonic=clock.monotonic, pause=pause)
    with pytest.raises(asyncio.CancelledError):
        await background.run()
    assert paused == [WRITE_SECONDS] * 3
    assert written == [{}, {"one": use()}, {"one": use(), "two": use()}]
