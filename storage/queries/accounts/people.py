"""Users with what there is of them: their groups, when they were seen last, and what their calls cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID

from storage.accounts.groups import Groups
from storage.accounts.token_uses import TokenUses
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import Group, Person, User
from storage.derived.rollup import Bucket
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.queries.money import spend_by_user
from storage.queries.questions.questions import Questions


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
        self._questions = Questions(database)
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
        return (await self._spend([user.id])).get(user.id, Decimal(0))

    async def _spend(self, ids: Sequence[UUID]) -> dict[UUID, Decimal]:
        today = Bucket.DAY.floor(self._now())
        return await spend_by_user(self._questions, ids, today.replace(day=1), today + Bucket.DAY.length)

    async def _persons(self, users: Sequence[tuple[User, int]]) -> list[Person]:
        ids = [user.id for user, _ in users]
        groups = await self._groups.by_id(id_ for user, _ in users for id_ in user.group_ids)
        seen = await self._uses.last_seen(ids)
        spend = await self._spend(ids)
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
