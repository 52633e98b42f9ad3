from uuid import UUID

import pytest

from storage.accounts.group_names import EVERY_SECONDS, GroupNames

RESEARCH, OPS, UNKNOWN = UUID(int=1), UUID(int=2), UUID(int=3)


class StoppedError(Exception):
    """Enough was seen."""


@pytest.mark.gen_test
async def test_names_are_read_again_and_stay_while_the_database_is_away(database):
    seen = []

    async def pause(seconds):
        seen.append((seconds, names.together([RESEARCH, OPS, UNKNOWN]), names.together([])))
        if len(seen) == 1:
            await database.groups.insert_one({"_id": OPS, "name": "ops", "removed_at": None})
        elif len(seen) == 2:
            database.health.lose("gone")
        else:
            raise StoppedError

    await database.groups.insert_one({"_id": RESEARCH, "name": "research", "removed_at": None})
    names = GroupNames(database, pause=pause)
    assert names.together([RESEARCH]) == str(RESEARCH)
    with pytest.raises(StoppedError):
        await names.run()
    both = f"{UNKNOWN}, ops, research"
    first = f"{OPS}, {UNKNOWN}, research"
    assert seen == [(EVERY_SECONDS, first, ""), (EVERY_SECONDS, both, ""), (EVERY_SECONDS, both, "")]
