from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from storage.accounts.tokens import uses as token_uses
from storage.accounts.tokens.uses import TokenUses
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
async def test_an_earlier_use_that_is_written_late_changes_nothing(uses, clock, database):
    elsewhere = TokenUses(database, now=clock.now, monotonic=clock.monotonic)
    uses.note(identity(), lambda: ("early", ""))
    clock.seconds = 1
    elsewhere.note(identity(), lambda: ("late", ""))
    await elsewhere.flush()
    await uses.close()
    assert await uses.of_tokens(["tokenOfAda"]) == {"tokenOfAda": use(1, "late", "")}


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
