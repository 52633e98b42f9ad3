from datetime import UTC, datetime
from uuid import UUID

import pytest

from storage.accounts.group_names import follow_group_names, names_together

RESEARCH, OPS, UNKNOWN = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.mark.gen_test
async def test_names_are_read_again_and_stay_while_the_database_is_away(database):
    followed = follow_group_names(database, now=lambda: datetime.now(UTC))

    def shown():
        return names_together(followed.value, [RESEARCH, OPS, UNKNOWN]), names_together(followed.value, [])

    assert names_together(followed.value, [RESEARCH]) == str(RESEARCH)
    await database.groups.insert_one({"_id": RESEARCH, "name": "research", "removed_at": None})
    await followed.try_refresh()
    assert shown() == (f"{OPS}, {UNKNOWN}, research", "")
    await database.groups.insert_one({"_id": OPS, "name": "ops", "removed_at": None})
    await followed.try_refresh()
    both = f"{UNKNOWN}, ops, research"
    assert shown() == (both, "")
    database.health.lose("gone")
    await followed.try_refresh()
    assert shown() == (both, "")
