"""Timeouts of tests for an available MongoDB: long ones.

The machine of a test may pause for seconds, which says nothing about the code. So only tests with an unavailable database
have the timeouts of the product.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from storage.accounts import audit, authentication, groups, token_uses, user_accounts
from storage.accounts.sign_in import sign_ins
from storage.derived import job as derived
from storage.mongo import database, event_counts
from storage.policies import followed, store
from storage.prices import store as prices
from storage.queries import accounts
from storage.recording import left_calls
from storage.recording.outbox import writer

SECONDS = 30.0
BOUNDS: list[tuple[ModuleType, str]] = [
    (authentication, "VERIFY_SECONDS"),
    (audit, "ANSWER_SECONDS"),
    (accounts, "ANSWER_SECONDS"),
    (database, "PING_SECONDS"),
    (event_counts, "BATCH_SECONDS"),
    (user_accounts, "ANSWER_SECONDS"),
    (groups, "ANSWER_SECONDS"),
    (left_calls, "ANSWER_SECONDS"),
    (followed, "READ_SECONDS"),
    (store, "ANSWER_SECONDS"),
    (prices, "ANSWER_SECONDS"),
    (sign_ins, "ANSWER_SECONDS"),
    (token_uses, "ANSWER_SECONDS"),
    (derived, "BATCH_SECONDS"),
    (writer, "COMMIT_SECONDS"),
    (writer, "REPLAY_SECONDS"),
]
OPTIONS = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
UNAVAILABLE = {"private_mongodb", "replica_set", "impatient"}
"""Fixtures of tests whose database is or becomes unavailable."""


def lengthen_timeouts(change: Callable[[ModuleType, str, object], None]) -> None:
    """Lengthen every timeout of MongoDB."""
    for module, name in BOUNDS:
        change(module, name, SECONDS)
    change(database, "OPTIONS", database.OPTIONS | dict.fromkeys(OPTIONS, int(1000 * SECONDS)))


@pytest.fixture(autouse=True)
def patient_with_mongodb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengthen timeouts unless the database becomes unavailable."""
    if UNAVAILABLE.isdisjoint(request.fixturenames):
        lengthen_timeouts(monkeypatch.setattr)


@pytest.fixture
def impatient() -> None:
    """For tests of the timeouts, or of an unavailable database without one of the other fixtures."""
