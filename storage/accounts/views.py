"""The saved views of a database: an address of the dashboard under a name. Each change is audited.

Everybody sees their own views, and those that are shared. The others do not exist for them, also for owners.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from msgspec import Meta, structs
from pymongo import ASCENDING

from storage.accounts.audit import ANSWER_SECONDS, Author, Changes
from storage.accounts.events import Action
from storage.accounts.subjects import witness_holder
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import ChangedMeanwhileError, IdentityConflictError, Role, UnknownIdentityError, User
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session, page_of
from storage.mongo.documents.stored import Hidden, StoredTime, Versioned
from storage.mongo.indexes import ANY_CASE

MAX_VIEWS_OF_USER: Final = 100
"""How many views a user may have saved."""

MAX_VIEW_NAME: Final = 80
"""Longest name of a view, in characters."""

MAX_VIEW_QUERY: Final = 2_000
"""Longest query of a view: the characters of its names and values together."""

VIEW_PAGE: Final = r"^[a-z]{1,20}$"
"""What the name of a view of the dashboard looks like."""

ViewName = Annotated[
    str, Meta(min_length=1, max_length=MAX_VIEW_NAME, description="Unique among the views of a user, ignoring case.")
]
ViewPage = Annotated[
    str,
    Meta(pattern=VIEW_PAGE, description="The view of the dashboard that it opens: the first word of its address."),
]
ViewParameters = Annotated[
    Mapping[str, str],
    Meta(
        description="The parameters of its address: `q` the search, `range` a time range that stays relative, or `from` and "
        "`to`, `tz`, `by` what is grouped by, `order` and so on. Of `usage`, `users`, `groups` "
        "and `providers` `of` is the user, the group or the provider."
    ),
]
IsShared = Annotated[bool, Meta(description="Whether all users see it. Each sees only the calls that they may see.")]


class View(Versioned, frozen=True, kw_only=True):
    """A view of the dashboard under a name. `user_id` is the group's where it belongs to callers with its tokens."""

    id: UUID
    user_id: Hidden[UUID]
    name: ViewName
    page: ViewPage
    query: ViewParameters
    shared: IsShared
    created_at: StoredTime
    changed_at: StoredTime


UNKNOWN: Final = "there is no view with this id that you may see"
CHANGED: Final = "the view was changed meanwhile; read it again"
TAKEN: Final = 'a view of {} named "{}" exists already'
TOO_MANY: Final = f"you have saved {MAX_VIEWS_OF_USER} views, the maximum; remove one first"
REMOVED: Final = "the user was removed"


class NotYourViewError(Exception):
    """A shared view of somebody else: only they and owners may change it."""


class Views(Changes):
    """The saved views of a database. Every method raises `DatabaseUnavailableError`.

    A view that there is not, or that the user may not see, raises `UnknownIdentityError`.
    """

    def __init__(self, database: Database, accounts: UserAccounts, *, now: Now) -> None:
        super().__init__(database, now=now)
        self._accounts = accounts

    async def page(self, user: User, *, page: str | None, limit: int, offset: int) -> tuple[int, list[View]]:
        """Return how many views a user may see, and some of them, by name; with `page` those of that page alone."""
        seen: dict[str, Any] = _seen_by(user) | ({} if page is None else {"page": page})
        async with self._database.within(ANSWER_SECONDS):
            order = [("name", ASCENDING), ("_id", ASCENDING)]
            count, found = await page_of(self._database.views, seen, order, limit, offset, collation=ANY_CASE)
            return count, list(map(View.of, found))

    async def find(self, id_: UUID, user: User) -> View:
        """Find one that the user may see."""
        async with self._database.within(ANSWER_SECONDS):
            return await self._existing(id_, user, None)

    async def owners(self, views: Collection[View]) -> dict[UUID, User]:
        """Find whose views these are."""
        return await self._accounts.users_by_id({view.user_id for view in views}) if views else {}

    async def add(self, author: Author, *, name: str, page: str, query: Mapping[str, str], shared: bool) -> View:
        """Save a view of the author, who is a user.

        Raises:
            IdentityConflictError: They have one of this name, or `MAX_VIEWS_OF_USER`; or they were removed.
        """
        user, at = _user_of(author), self._now()
        view = View(
            id=uuid4(),
            user_id=user.id,
            name=name,
            page=page,
            query=query,
            shared=shared,
            created_at=at,
            changed_at=at,
        )

        async def add(session: Session) -> None:
            # Whose it is cannot be removed at the same moment, nor have one view too many.
            if not await witness_holder(self._database, user, session):
                raise IdentityConflictError(REMOVED)
            if await self._database.views.count_documents({"user_id": user.id}, session=session) >= MAX_VIEWS_OF_USER:
                raise IdentityConflictError(TOO_MANY)
            await self._refuse_taken(view, user, session)
            await self._database.views.insert_one(view.document, session=session)
            await self._audit(session, author, Action.VIEW_ADDED, user, **_said(view))

        await self._change_named(add, TAKEN.format(user.username, view.name))
        return view

    async def change(
        self, id_: UUID, changes: Mapping[str, Any], *, versions: Collection[str] | None, author: Author
    ) -> View:
        """Change what is given: `name`, `page`, `query` or `shared`. The author is a user.

        Raises:
            NotYourViewError: It is somebody else's, and the author is no owner.
            IdentityConflictError: Its user has another one of this name.
        """
        before = await self.find(id_, _user_of(author))
        owner = (await self.owners([before]))[before.user_id]

        async def change(session: Session) -> View:
            old = await self._own(id_, session, versions, author)
            new = structs.replace(old, **changes)
            changed = [name for name in changes if getattr(old, name) != getattr(new, name)]
            if not changed:
                return old
            await self._refuse_taken(new, owner, session)
            new = structs.replace(new, changed_at=self._now())
            fields = {name: new.document[name] for name in (*changed, "changed_at")}
            await self._database.views.update_one({"_id": id_}, {"$set": fields}, session=session)
            more = {"name_before": old.name} if old.name != new.name else {}
            await self._audit(session, author, Action.VIEW_CHANGED, owner, **_said(new), changes=changed, **more)
            return new

        return await self._change_named(change, TAKEN.format(owner.username, changes.get("name", before.name)))

    async def remove(self, id_: UUID, *, versions: Collection[str] | None, author: Author) -> None:
        """Remove one.

        Raises:
            NotYourViewError: It is somebody else's, and the author is no owner.
        """
        before = await self.find(id_, _user_of(author))
        owner = (await self.owners([before]))[before.user_id]

        async def remove(session: Session) -> None:
            view = await self._own(id_, session, versions, author)
            await self._database.views.delete_one({"_id": id_}, session=session)
            await self._audit(session, author, Action.VIEW_REMOVED, owner, **_said(view))

        await self._change(remove)

    async def _refuse_taken(self, view: View, user: User, session: Session) -> None:
        same = {"user_id": view.user_id, "name": view.name, "_id": {"$ne": view.id}}
        if await self._database.views.find_one(same, session=session, collation=ANY_CASE) is not None:
            raise IdentityConflictError(TAKEN.format(user.username, view.name))

    async def _own(self, id_: UUID, session: Session, versions: Collection[str] | None, author: Author) -> View:
        user = _user_of(author)
        view = await self._existing(id_, user, session)
        if view.user_id != user.id and user.role is not Role.OWNER:
            raise NotYourViewError
        if versions is not None and view.version not in versions:
            raise ChangedMeanwhileError(CHANGED)
        return view

    async def _existing(self, id_: UUID, user: User, session: Session | None) -> View:
        document = await self._database.views.find_one({"_id": id_, **_seen_by(user)}, session=session)
        if document is None:
            raise UnknownIdentityError(UNKNOWN)
        return View.of(document)


def _said(view: View) -> dict[str, Any]:
    """What the audit trail says of a view."""
    return {"view_id": view.id, "name": view.name}


def _seen_by(user: User) -> dict[str, Any]:
    return {"$or": [{"user_id": user.id}, {"shared": True}]}


def _user_of(author: Author) -> User:
    if author.user is None:
        raise ValueError("a view is of a user")
    return author.user
