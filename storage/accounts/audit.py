"""The audit trail: who changed what of users, groups and tokens.

One document per change, never with a secret, kept forever. Sign-ins, failed authentication, refused accesses, and reads of
other users' calls are there too for some time.

Unlike changes, clients can cause any number of accesses. So equal ones of one hour are one entry with a count, the number of
entries is bounded, each is removed after `KEPT`, and writing one delays nothing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from msgspec import Struct, structs
from pymongo.errors import DuplicateKeyError

from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, User
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session
from storage.mongo.event_counts import Count, CountDocument, DistinctEvents, EventCounts, event_id

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
        """Make a change of which there may be one alike, as an index says; `taken` says that there is another one.

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


MAX_ENTRIES = 100
"""Entries of one action that a process makes in an hour.

Further events are counted without address. Only refusals keep their user then.
"""

MAX_SIGN_INS = 1_000
"""Entries of sign-ins, which take a valid token, that a process makes in an hour."""

MAX_READS = 2_000
"""Entries of reads of calls that a process makes in an hour; further reads are counted by reader only."""

MAX_PENDING = 5_000
"""The maximum number of entries that wait for the database; further ones are dropped."""

KEPT_DAYS = 90
"""How long an entry is kept."""

READS_KEPT_DAYS = 365
"""How long an entry of calls that were read is kept."""

SEVERAL_REASONS = "several reasons"
"""The message of refusals that are counted together."""

UNKNOWN_CALLER = "unknown caller"  # which no user can have: it has a space

_HOUR_SECONDS = 3600


_READING = {Action.CALLS_READ, Action.CALLS_SEARCHED}
_MAX = {Action.SIGNED_IN: MAX_SIGN_INS, **dict.fromkeys(_READING, MAX_READS)}


class AccessEvent(Struct, frozen=True):
    """What happened. Equal events are counted together, so each field is of a bounded number of values, or counted.

    Attributes:
        action: `AUTHENTICATION_FAILED`, `ACCESS_DENIED`, `SIGNED_IN`, `CALLS_READ` or `CALLS_SEARCHED`.
        user: Who it was, as far as is known.
        token_id: The public part of the token; None for an unknown one.
        detail: Names and values of what else is to be known.
        subject: Whose calls were read: the id and name of the user.
    """

    action: Action
    client_ip: str | None = None
    user: User | None = None
    token_id: str | None = None
    detail: tuple[tuple[str, str], ...] = ()
    subject: tuple[UUID, str] | None = None

    def counted(self) -> AccessEvent:
        """What is left of it if there are too many.

        Of what was read, the reader and the way are left; of a refusal, the user and the plane. Its message is not, because
        it may quote anything that a client sends.
        """
        if self.action in _READING:
            return structs.replace(self, client_ip=None, subject=None, detail=self.detail[:1])
        if self.action is Action.ACCESS_DENIED:
            detail = tuple((name, SEVERAL_REASONS if name == "message" else value) for name, value in self.detail)
            return structs.replace(self, client_ip=None, token_id=None, detail=detail)
        return structs.replace(self, client_ip=None, user=None, token_id=None)


class AccessTrail(EventCounts[tuple[int, AccessEvent]]):
    """Counts events, and writes the counts in the background."""

    def __init__(self, database: Database, *, now: Now) -> None:
        super().__init__(database, "entries of the audit trail", database.audit, _entry)
        self._now = now
        self._distinct = DistinctEvents()

    def note(self, event: AccessEvent) -> None:
        """Count an event. Returns at once."""
        now = self._now()
        hour = int(now.timestamp()) // _HOUR_SECONDS
        limit = _MAX.get(event.action, MAX_ENTRIES)
        key = hour, event if self._distinct.admit(hour, event.action, event, limit) else event.counted()
        if key in self or len(self) < MAX_PENDING:
            self.add(key, now)


def _entry(key: tuple[int, AccessEvent], count: Count) -> CountDocument:
    """Make the entry. Its id follows from what it says: so several processes have one entry together."""
    hour, event = key
    user = event.user
    actor: dict[str, Any] = {"id": user and user.id, "username": user.username if user else UNKNOWN_CALLER}
    if event.token_id is not None:
        actor["token_id"] = event.token_id
    is_read = event.action in _READING
    fields = {
        "schema_version": 1,
        "at": count.first_at,
        "actor": actor,
        "action": event.action.value,
        "subject": event.subject and {"id": event.subject[0], "username": event.subject[1]},
        "client_ip": event.client_ip,
        "expires_at": count.first_at + timedelta(days=READS_KEPT_DAYS if is_read else KEPT_DAYS),
        **{f"detail.{name}": value for name, value in event.detail},
    }
    id_ = event_id(hour, event.action, event.client_ip, actor["id"], event.token_id, event.detail, event.subject)
    return CountDocument(id_, fields, path="detail.count", last_at="detail.last_at")
