"""`/api/v2/aibridge/prices`: the operator's own prices. For owners to change, for auditors to see."""

from __future__ import annotations

from handlers.api.accounts.changes import ChangeHandler
from handlers.api.accounts.policies import NOTE_HEADER
from limits.policies.patterns import Patterns
from limits.policies.policy import ModelPattern
from resources.money.prices import PriceList, PriceListBody
from storage.costs.own_prices import OwnPrice
from storage.prices.documents import KeptPrices
from storage.prices.store import PriceStore

MAX_PRICES_BYTES = 256 * 1024
NOT_YOURS_TO_SEE = "Only owners and auditors may see prices."
NOT_YOURS_TO_CHANGE = "Only owners may change prices."
NO_PROVIDER = "prices[{}].provider: no provider has a name like this now"
MAX_NOTES = 5


class PricesHandler(ChangeHandler):
    """All own prices."""

    max_body_bytes = MAX_PRICES_BYTES

    async def get(self) -> None:
        """Respond with the prices, with their version as `ETag`."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        self.parameters()
        self._write(await self._store.read())

    async def put(self) -> None:
        """Replace all prices, and respond with them. In this process they hold at once."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        prices = self.read_with(PriceListBody.read)
        kept = await self._store.change(lambda _: prices, versions=self.versions, author=self.author)
        self.bridge.prices.put(kept)
        for number in self._without_provider(prices)[:MAX_NOTES]:
            self.add_header(NOTE_HEADER, NO_PROVIDER.format(number))
        self._write(kept)

    @property
    def _store(self) -> PriceStore:
        return PriceStore(self.bridge.database, now=self.bridge.now)

    def _without_provider(self, prices: list[OwnPrice]) -> list[int]:
        """Which prices hold for none of the providers that there are: a slip, or one that was removed."""
        names = [name.lower() for name in self.bridge.providers]
        found = []
        for number, price in enumerate(prices):
            pattern = Patterns([ModelPattern(price.provider)])
            if all(pattern.find(name, "") is None for name in names):
                found.append(number)
        return found

    def _write(self, kept: KeptPrices) -> None:
        self.write_json(PriceList.of(kept), version=kept.version)
