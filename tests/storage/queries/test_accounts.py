from functools import partial

import pytest

from storage.accounts.events import Action
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.mongo.indexes import AUDIT_BY_TIME
from storage.queries.accounts import AuditQuery, _usernames, audit_page
from tests.storage.records import NOON


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)


@pytest.fixture
def audit(database):
    return partial(audit_page, database)


async def test_rare_entries_are_found_without_reading_the_others(identities, audit, database):
    ada = await identities.add_user("Ada", role=Role.OWNER)
    await database.audit.insert_many(
        {"at": NOON, "action": Action.CALLS_READ.value, "actor": {"username": "bob"}, "subject": None}
        for _ in range(500)
    )
    for query in (AuditQuery(actions=[Action.USER_ADDED]), AuditQuery(user="ada"), AuditQuery(user=str(ada.id))):
        wanted = query.filter(await _usernames(database, query.user))
        plan = await database.audit.find(wanted).sort(AUDIT_BY_TIME).limit(9).explain()
        examined = plan["executionStats"]["totalDocsExamined"]
        assert (examined, len(await audit(query, limit=9))) == (1, 1), query
