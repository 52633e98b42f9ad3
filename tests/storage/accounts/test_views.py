"""Saved views: who sees, changes and removes them, and how many there may be."""

import asyncio
from datetime import timedelta

import pytest

from storage.accounts.audit import Author
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.users import IdentityConflictError, Role
from storage.accounts.views import MAX_VIEWS_OF_USER, REMOVED, TOO_MANY, Views
from tests.storage.records import NOON

QUERY = {"q": "model:gpt-5", "range": "last-month", "by": "user,model"}


class Clock:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self):
        self.at = NOON

    def __call__(self):
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)


@pytest.fixture
def views(database, identities):
    return Views(database, identities, now=Clock())


async def people_of(identities):
    roles = {"ada": Role.OWNER, "grace": Role.MEMBER, "linus": Role.MEMBER}
    return [Author(await identities.add_user(name, role=role)) for name, role in roles.items()]


def save(views, author, name="week", *, shared=False):
    return views.add(author, name=name, page="explore", query=QUERY, shared=shared)


async def seen(views, author):
    count, found = await views.page(author.user, page=None, limit=100, offset=0)
    assert count == len(found)
    return [view.name for view in found]


async def test_nobody_has_more_views_than_the_maximum_also_at_the_same_moment(views, database, identities):
    _, grace, linus = await people_of(identities)
    await save(views, linus)
    view = await save(views, grace, "0")
    more = [{**view.document, "_id": number, "name": str(number)} for number in range(1, MAX_VIEWS_OF_USER - 1)]
    await database.views.insert_many(more)
    both = await asyncio.gather(*(save(views, grace, name) for name in "ab"), return_exceptions=True)
    assert [str(one) for one in both if isinstance(one, Exception)] == [TOO_MANY]
    assert await database.views.count_documents({"user_id": grace.user.id}) == MAX_VIEWS_OF_USER


async def test_the_views_of_a_removed_user_and_of_a_removed_group_go(views, database, identities):
    ada, grace, _ = await people_of(identities)
    groups = Groups(database, identities, now=lambda: NOON)
    group = await groups.add("ci")
    service = Author(await identities.find_user("groups/ci"))
    assert (await save(views, service, "theirs", shared=True)).user_id == group.id
    await save(views, grace, "mine", shared=True)
    await save(views, ada, "left", shared=True)
    await identities.remove_user("grace")
    await groups.remove("ci")
    assert await seen(views, ada) == ["left"]
    for gone in (grace, service):
        with pytest.raises(IdentityConflictError, match=f"^{REMOVED}$"):
            await save(views, gone)
    with pytest.raises(ValueError, match="a view is of a user"):
        await save(views, Author())
