"""Own prices in the database: read and replaced, each change with an entry in the audit trail."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable
from typing import Final
from uuid import uuid4

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import ChangedMeanwhileError, IdentityError
from storage.mongo.database import Session
from storage.prices.own_prices import DOCUMENT, MAX_PRICES, NO_VERSION, KeptPrices, OwnPrice

CHANGED: Final = "the prices were changed meanwhile; read them again"
TOO_MANY: Final = f"there may be at most {MAX_PRICES:,} prices"


class PriceError(IdentityError):
    """Prices cannot be as they would be. The text is one sentence for the operator."""


class PriceStore(Changes):
    """The own prices of a database. Every method raises `DatabaseUnavailableError`."""

    async def read(self) -> KeptPrices:
        """Read all of them."""
        self._database.require_available()
        async with self._database.within(ANSWER_SECONDS):
            return await self._find(None)

    async def version(self) -> str:
        """Read which version they have."""
        async with self._database.within(ANSWER_SECONDS):
            document = await self._database.prices.find_one({"_id": DOCUMENT}, {"version": True})
        return NO_VERSION if document is None else str(document["version"])

    async def change(
        self,
        make: Callable[[tuple[OwnPrice, ...]], Iterable[OwnPrice]],
        *,
        versions: Collection[str] | None = None,
        author: Author = COMMAND_LINE,
    ) -> KeptPrices:
        """Replace all prices by what `make` returns of the current ones. If it raises, nothing is changed.

        Raises:
            PriceError: There would be two with the same key, or too many.
            ChangedMeanwhileError: They have another version.
        """

        async def change(session: Session) -> KeptPrices:
            before = await self._find(session)
            if versions is not None and before.version not in versions:
                raise ChangedMeanwhileError(CHANGED)
            prices = _checked(make(before.prices))
            if prices == before.prices:
                return before
            kept = KeptPrices(prices, uuid4().hex[:16], self._now())
            same = {"_id": DOCUMENT}
            await self._database.prices.replace_one(same, kept.document, upsert=True, session=session)
            removed = [str(one) for one in before.prices if one not in prices]
            added = [str(one) for one in prices if one not in before.prices]
            await self._audit(session, author, Action.PRICES_CHANGED, prices_removed=removed, prices_added=added)
            return kept

        return await self._change(change)

    async def _find(self, session: Session | None) -> KeptPrices:
        document = await self._database.prices.find_one({"_id": DOCUMENT}, session=session)
        return KeptPrices.of(document) if document else KeptPrices()


def _checked(prices: Iterable[OwnPrice]) -> tuple[OwnPrice, ...]:
    """Sort prices.

    Raises:
        PriceError: Two have the same key, or there are too many.
    """
    found = tuple(sorted(prices, key=lambda one: one.key))
    if len(found) > MAX_PRICES:
        raise PriceError(TOO_MANY)
    for one, other in itertools.pairwise(found):
        if one.key == other.key:
            raise PriceError(f"there are two prices: {one.name}")
    return found
