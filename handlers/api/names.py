"""The names of users, groups of users and tokens that a response names."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from handlers.bridge import Bridge
from resources.fields import Names


async def read_names(
    bridge: Bridge, users: Collection[UUID], groups: Collection[UUID] = (), tokens: Collection[str] = ()
) -> Names:
    """Read them by id, and those of the users of tokens too.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    known = await bridge.tokens.by_id(tokens) if tokens else {}
    users = {*users, *(token.user_id for token in known.values())}
    return Names(await bridge.identities.users_by_id(users), await bridge.groups.by_id(groups), known)
