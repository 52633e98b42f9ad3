"""The audit trail: who changed what of users, groups and tokens.

One document per change, never with a secret, kept forever. Sign-ins and refused accesses are there too for some time,
see `storage.accounts.sign_in.access_trail`.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from msgspec import Struct
from pymongo.errors import DuplicateKeyError

from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, User
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session

T = TypeVar("T")

ANSWER_SECONDS = 2.0
"""How long the database may take for a list or a change."""


def _account() -> str:
    """The account of the machine that runs this process; the number of one that has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


class Author(Struct, frozen=True):
    """Who makes a change: a user, by HTTP from an address with a token, or without a user the command line.

    `expires_at` is when the token expires; None is never. `name` replaces the username if there is no user; it has a space,
    which no username has. With `force` the last owner may go.
    """

    user: User | None = None
    client_ip: str | None = None
    token_id: str | None = None
    expires_at: datetime | None = None
    name: str = f"command line ({_account()})"
    force: bool = False


COMMAND_LINE = Author()
SINGLE_SIGN_ON = Author(name="single sign-on")
"""What a provider's claims change of users when they sign in."""


class Changes:
    """What changes documents of a database, as a whole or not at all, each time with an entry in the audit trail.

    A method that changes something is given its `author`. Where it takes `versions`, what it changes must have one of
    these, or else it raises `ChangedMeanwhileError`; None is any.
    """

    def __init__(self, database: Database, *, now: Now) -> None:
        self._database = database
        self._now = now

    async def _change(self, change: Callable[[Session], Awaitable[T]]) -> T:
        async with self._database.within(ANSWER_SECONDS):
            return await self._database.together(change)

    async def _change_named(self, change: Callable[[Session], Awaitable[T]], taken: str) -> T:
        """Make a change that gives a name; `taken` says that it was given at the same moment.

        Raises:
            IdentityConflictError: It was.
        """
        try:
            return await self._change(change)
        except DuplicateKeyError:
            raise IdentityConflictError(taken) from None

    async def _audit(
        self, session: Session | None, author: Author, action: Action, subject: User | None = None, **detail: Any
    ) -> None:
        document = entry(author, action, subject, at=self._now(), **detail)
        await self._database.audit.insert_one(document, session=session)


def entry(author: Author, action: Action, subject: User | None, *, at: datetime, **detail: object) -> dict[str, Any]:
    """Make the document of a change, with the names of that time. `subject` is whom it concerns."""
    by, token = author.user, {} if author.token_id is None else {"token_id": author.token_id}
    return {
        "_id": uuid4(),
        "schema_version": 1,
        "at": at,
        "actor": {"id": None, "username": author.name} if by is None else _named(by) | token,
        "action": action.value,
        "subject": subject and _named(subject),
        "detail": detail,
        "client_ip": author.client_ip,
    }


def _named(user: User) -> dict[str, Any]:
    return {"id": user.id, "username": user.username}
