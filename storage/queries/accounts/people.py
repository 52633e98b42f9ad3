"""Users with what there is of them: their groups, when they were seen last, and what their calls cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from storage.accounts.groups import Groups
from storage.accounts.tokens.uses import TokenUses
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import Group, Person, User
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.queries.money.spend import spend_by_user


class People:
    """The users of a database. Every method raises `DatabaseUnavailableError`."""

    def __init__(
        self,
        database: Database,
        accounts: UserAccounts,
        groups: Groups,
        uses: TokenUses,
        *,
        now: Now,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._groups = groups
        self._uses = uses
        self._now = now

    async def page(self, *, limit: int, offset: int) -> tuple[int, list[Person]]:
        """Return how many users there are, and some of them, by name. A limit of 0 is none."""
        count, users = await self._accounts.users_page(limit=limit, offset=offset)
        return count, await self._persons(users)

    async def find(self, user: str) -> Person:
        """Find a user by name or id.

        Raises:
            UnknownIdentityError: There is no such user.
        """
        (person,) = await self._persons([await self._accounts.existing(user)])
        return person

    async def spend_of(self, user: User) -> Decimal:
        """What the calls of a user, or of the service tokens of a group, cost since the month began, in US dollars."""
        return (await spend_by_user(self._database, [user.id], self._month)).get(user.id, Decimal(0))

    @property
    def _month(self) -> datetime:
        return self._now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    async def _persons(self, users: Sequence[tuple[User, int]]) -> list[Person]:
        ids = [user.id for user, _ in users]
        groups = await self._groups.by_id(id_ for user, _ in users for id_ in user.group_ids)
        seen = await self._uses.last_seen(ids)
        spend = await spend_by_user(self._database, ids, self._month)
        return [
            Person(
                user=user,
                groups=_by_name(groups[id_] for id_ in user.group_ids if id_ in groups),
                active_tokens=tokens,
                last_seen_at=seen.get(user.id),
                spend_usd=spend.get(user.id, Decimal(0)),
            )
            for user, tokens in users
        ]


def _by_name(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: group.name.lower()))
