"""How long tests wait for a MongoDB that is there.

The machine of a test stands still for seconds now and then, and that says nothing of what is tested. So only who takes
the database unavailable is as impatient as users find us.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from storage.accounts import authentication, groups, user_accounts
from storage.accounts.sign_in import sign_ins
from storage.accounts.tokens import uses as token_uses
from storage.aggregation.sessions import threads
from storage.mongo import connection, database, event_counts
from storage.policies import followed, store
from storage.queries.accounts import audit
from storage.recording import instances
from storage.recording.outbox import writer

SECONDS = 30.0
BOUNDS: list[tuple[ModuleType, str]] = [
    (audit, "ANSWER_SECONDS"),
    (authentication, "VERIFY_SECONDS"),
    (database, "PING_SECONDS"),
    (event_counts, "BATCH_SECONDS"),
    (user_accounts, "ANSWER_SECONDS"),
    (groups, "ANSWER_SECONDS"),
    (instances, "ANSWER_SECONDS"),
    (followed, "READ_SECONDS"),
    (store, "ANSWER_SECONDS"),
    (sign_ins, "ANSWER_SECONDS"),
    (token_uses, "ANSWER_SECONDS"),
    (threads, "ANSWER_SECONDS"),
    (writer, "COMMIT_SECONDS"),
    (writer, "REPLAY_SECONDS"),
]
OPTIONS = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
AWAY = {"private_mongodb", "replica_set", "impatient"}
"""Fixtures of tests whose database goes away, or was never there."""


def be_patient(change: Callable[[ModuleType, str, object], None]) -> None:
    """Lengthen every bound on an answer of MongoDB."""
    for module, name in BOUNDS:
        change(module, name, SECONDS)
    change(connection, "OPTIONS", connection.OPTIONS | dict.fromkeys(OPTIONS, int(1000 * SECONDS)))


@pytest.fixture(autouse=True)
def patient_with_mongodb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be patient unless the database goes away."""
    if AWAY.isdisjoint(request.fixturenames):
        be_patient(monkeypatch.setattr)


@pytest.fixture
def impatient() -> None:
    """For a test of the bounds themselves, or of a database that is away without another fixture that says so."""
