"""The audit trail: who changed what of users, groups and tokens.

One document per change, never with a secret, kept forever. Sign-ins and refused accesses are there too for some time,
see `storage.accounts.sign_in.access_trail`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from msgspec import Struct

from storage.accounts.events import Action
from storage.accounts.users import User


class Author(Struct, frozen=True):
    """Who makes a change: a user, by HTTP from an address with a token, or without a user the command line.

    `expires_at` is when the token expires; None is never. `name` replaces the username if there is no user.
    """

    user: User | None = None
    client_ip: str | None = None
    token_id: str | None = None
    expires_at: datetime | None = None
    name: str = "command line"  # which no user can have: it has a space


COMMAND_LINE = Author()
SINGLE_SIGN_ON = Author(name="single sign-on")
"""What a provider's claims change of users when they sign in."""


def entry(author: Author, action: Action, subject: User | None, *, at: datetime, **detail: object) -> dict[str, Any]:
    """Make the document of a change, with the names of that time.

    Args:
        author: Who made it.
        action: The action.
        subject: The user concerned, or the owner of the token; None without one.
        at: When, in whole milliseconds.
        detail: Further fields.
    """
    by = author.user
    return {
        "_id": uuid4(),
        "schema_version": 1,
        "at": at,
        "actor": {"id": None, "username": author.name} if by is None else _actor(by, author.token_id),
        "action": action.value,
        "subject": subject and _named(subject),
        "detail": detail,
        "client_ip": author.client_ip,
    }


def _actor(user: User, token_id: str | None) -> dict[str, Any]:
    return _named(user) | ({} if token_id is None else {"token_id": token_id})


def _named(user: User) -> dict[str, Any]:
    return {"id": user.id, "username": user.username}
