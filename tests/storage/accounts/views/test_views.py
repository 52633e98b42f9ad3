"""Saved views: who sees, changes and removes them, and how many there may be."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from storage.accounts.audit import Author
from storage.accounts.events import Action
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, IdentityConflictError, Role, UnknownIdentityError
from storage.accounts.users import ChangedMeanwhileError
from storage.accounts.views.documents import MAX_VIEWS_OF_USER, Page, View
from storage.accounts.views.views import REMOVED, TOO_MANY, NotYourViewError, Views, _seen_by
from storage.mongo.indexes import ANY_CASE
from storage.queries.accounts.audit import audit_page
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
    """Ada, an owner, and grace and linus, who are members."""
    roles = {"ada": Role.OWNER, "grace": Role.MEMBER, "linus": Role.MEMBER}
    return [Author(await identities.add_user(name, role=role)) for name, role in roles.items()]


def save(views, author, name="week", *, shared=False, page=Page.EXPLORE):
    return views.add(author, name=name, page=page, query=QUERY, shared=shared)


async def seen(views, author, page=None):
    count, found = await views.page(author.user, page=page, limit=100, offset=0)
    assert count == len(found)
    return [view.name for view in found]


@pytest.mark.gen_test
async def test_ones_own_views_and_shared_ones_are_seen_by_name(views, identities):
    ada, grace, linus = await people_of(identities)
    mine = await save(views, grace, "b mine")
    ours = await save(views, grace, "A ours", shared=True, page=Page.ERRORS)
    theirs = await save(views, ada, "c theirs", shared=True)
    assert mine == View(
        id=mine.id,
        user_id=grace.user.id,
        name="b mine",
        page=Page.EXPLORE,
        query=QUERY,
        shared=False,
        created_at=NOON + timedelta(seconds=1),
        changed_at=NOON + timedelta(seconds=1),
    )
    assert await seen(views, grace) == ["A ours", "b mine", "c theirs"]
    assert await seen(views, linus) == await seen(views, ada) == ["A ours", "c theirs"]
    assert await seen(views, grace, Page.ERRORS) == ["A ours"]
    assert await views.page(grace.user, page=None, limit=1, offset=1) == (3, [mine])
    assert await views.find(mine.id, grace.user) == mine
    assert await views.find(ours.id, linus.user) == ours
    assert await views.owners([ours, theirs, mine]) == {one.user.id: one.user for one in (ada, grace)}
    assert await views.owners([]) == {}
    with pytest.raises(UnknownIdentityError, match="there is no view with this id that you may see"):
        await views.find(mine.id, ada.user)


@pytest.mark.gen_test
async def test_a_name_is_given_once_by_each_user_whatever_its_case(views, identities):
    ada, grace, _ = await people_of(identities)
    view = await save(views, grace, "Week")
    await save(views, ada, "week")
    with pytest.raises(IdentityConflictError, match='a view of grace named "WEEK" exists already'):
        await save(views, grace, "WEEK")
    other = await save(views, grace, "month")
    with pytest.raises(IdentityConflictError, match='a view of grace named "week" exists already'):
        await views.change(other.id, {"name": "week"}, versions=None, author=grace)
    assert (await views.change(view.id, {"name": "week"}, versions=None, author=grace)).name == "week"
    same = await asyncio.gather(*(save(views, ada, "year") for _ in range(3)), return_exceptions=True)
    assert sorted(str(getattr(one, "name", one)) for one in same) == [
        *['a view of ada named "year" exists already'] * 2,
        "year",
    ]


@pytest.mark.gen_test
async def test_a_view_is_changed_by_its_user_and_a_shared_one_by_owners(views, identities):
    ada, grace, linus = await people_of(identities)
    mine, ours = await save(views, grace), await save(views, grace, "ours", shared=True)
    for author, view, why in (
        (linus, mine, UnknownIdentityError),
        (ada, mine, UnknownIdentityError),
        (linus, ours, NotYourViewError),
    ):
        with pytest.raises(why):
            await views.change(view.id, {"name": "x"}, versions=None, author=author)
        with pytest.raises(why):
            await views.remove(view.id, versions=None, author=author)
    changed = await views.change(ours.id, {"name": "all", "query": {"q": "x"}}, versions=None, author=ada)
    assert (changed.name, changed.query, changed.user_id) == ("all", {"q": "x"}, grace.user.id)
    await views.remove(ours.id, versions=None, author=ada)
    await views.remove(mine.id, versions=None, author=grace)
    assert await seen(views, grace) == []


@pytest.mark.gen_test
async def test_what_was_changed_meanwhile_is_not_changed_or_removed(views, identities):
    _, grace, _ = await people_of(identities)
    view = await save(views, grace)
    same = await views.change(view.id, {"name": "week", "query": QUERY}, versions={view.version}, author=grace)
    assert same == view
    after = await views.change(view.id, {"shared": True}, versions={view.version, "x"}, author=grace)
    assert after.version != view.version
    for change in (
        views.change(view.id, {"shared": False}, versions={view.version}, author=grace),
        views.remove(view.id, versions={view.version}, author=grace),
    ):
        with pytest.raises(ChangedMeanwhileError, match="the view was changed meanwhile; read it again"):
            await change
    assert await views.find(view.id, grace.user) == after


@pytest.mark.gen_test
async def test_nobody_has_more_views_than_the_maximum_also_at_the_same_moment(views, database, identities):
    _, grace, linus = await people_of(identities)
    await save(views, linus)
    view = await save(views, grace, "0")
    more = [{**view.document, "_id": number, "name": str(number)} for number in range(1, MAX_VIEWS_OF_USER - 1)]
    await database.views.insert_many(more)
    both = await asyncio.gather(*(save(views, grace, name) for name in "ab"), return_exceptions=True)
    assert [str(one) for one in both if isinstance(one, Exception)] == [TOO_MANY]
    assert await database.views.count_documents({"user_id": grace.user.id}) == MAX_VIEWS_OF_USER


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_each_change_of_a_view_is_audited_without_what_it_searches(views, database, identities):
    ada, grace, _ = await people_of(identities)
    view = await save(views, grace, shared=True)
    await views.change(view.id, {"name": "month", "query": {}}, versions=None, author=ada)
    await views.change(view.id, {"shared": True}, versions=None, author=ada)
    await views.remove(view.id, versions=None, author=grace)
    entries = reversed(await audit_page(database, limit=3))
    assert [
        (one["action"], one["actor"]["username"], one["subject"]["username"], one["detail"]) for one in entries
    ] == [
        (Action.VIEW_ADDED, "grace", "grace", {"view_id": view.id, "name": "week"}),
        (
            Action.VIEW_CHANGED,
            "ada",
            "grace",
            {"view_id": view.id, "name": "month", "changes": ["name", "query"], "name_before": "week"},
        ),
        (Action.VIEW_REMOVED, "grace", "grace", {"view_id": view.id, "name": "month"}),
    ]


@pytest.mark.gen_test
async def test_views_are_found_by_indexes_alone(views, database, identities):
    await database.prepare(retention=None)
    _, grace, _ = await people_of(identities)
    await save(views, grace)
    result = await database.views.find(_seen_by(grace.user)).collation(ANY_CASE).explain()
    assert set(re.findall(r"'indexName': '(\w+)'", str(result))) == {"name_of_user", "shared"}
    assert "COLLSCAN" not in str(result)
