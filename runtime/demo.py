"""The demo company as a bridge of its own database, to be read; and the job that fills it in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic, monotonic_ns
from typing import Final

from handlers.bridge import Bridge, managed_providers
from handlers.identity.access_recorder import AccessRecorder
from handlers.key_health import KeyHealth
from handlers.lifecycle import Lifecycle
from limits.protection.overload import OverloadProtection
from runtime.process import now
from runtime.restored_budgets import RestoredBudgets
from storage.accounts.audit import AccessTrail
from storage.accounts.groups import Groups, follow_group_names
from storage.accounts.identities import Identities
from storage.accounts.sign_in.sessions import DEFAULT_TIMES
from storage.accounts.sign_in.sign_ins import SignIns
from storage.accounts.token_uses import TokenUses
from storage.accounts.users import Identity
from storage.demo.company import DOMAIN, company
from storage.demo.filling import PROVIDERS
from storage.demo.store import Demo, DemoState, DemoStore
from storage.mongo.database import Database
from storage.policies.followed import FollowedPolicies
from storage.prices.pricing import Prices
from storage.prices.store import PriceStore
from storage.queries.accounts import People, Tokens
from storage.queries.interceptions import Interceptions
from storage.queries.questions.questions import Questions
from storage.queries.sessions import Sessions
from storage.search.find import SearchIndex
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider
from upstream.providers.table import Routing

_KEY: Final = "demo-company"


class DemoDatabase:
    """The demo company beside the database of a bridge.

    Attributes:
        store: Its database.
    """

    def __init__(self, database: Database) -> None:
        self.store = DemoStore(database, now=now)
        self._requested: asyncio.Queue[Demo] = asyncio.Queue()
        self._opening = asyncio.Lock()
        self._fill = ""
        self._opened: tuple[Bridge, Identity] | None = None

    def fill(self, demo: Demo) -> None:
        """Have it filled in. Returns at once."""
        self._requested.put_nowait(demo)

    async def run(self) -> None:
        """Fill it in when that was requested, until cancelled."""
        while True:
            await self.store.fill(await self._requested.get())

    async def open(self, real: Bridge) -> tuple[Bridge, Identity] | None:
        """Return a bridge of what is in its database now, and who looks at that; None while it is not there."""
        async with self._opening:
            demo = await self.store.read()
            if demo.state is not DemoState.FILLED:
                return None
            if self._opened is None or self._fill != demo.fill:
                self._opened, self._fill = await self._open(real), demo.fill
            return self._opened

    async def _open(self, real: Bridge) -> tuple[Bridge, Identity]:
        # What invented people read is written down nowhere.
        unwritten = AccessRecorder(real.metrics, AccessTrail(self.store.records, now=now), monotonic_ns)
        pricing = Prices(PROVIDERS)
        pricing.set_own((await PriceStore(self.store.records, now=now).read()).prices)
        bridge = replace(self.make(real), access=unwritten, pricing=pricing)
        overload, zone = bridge.overload, real.settings.budget_timezone
        await bridge.policies.followed.refresh()
        parts = bridge.database, overload.limits, bridge.policies, bridge.identities, overload.authority
        await RestoredBudgets(*parts, zone=zone, now=now).restore()
        name = company().auditor.partition(" ")[0].lower()
        auditor = await bridge.identities.existing(f"{name}@{DOMAIN}")
        return bridge, Identity(user=auditor)

    def make(self, real: Bridge) -> Bridge:
        """Make a bridge of its database. Of the real one it has nothing that shows or changes what is real.

        Who calls, and what they may have in progress, the real one says.
        """
        database = self.store.records
        identities = Identities(database, now=now, monotonic=monotonic)
        groups, uses = Groups(database, identities, now=now), TokenUses(database, now=now, monotonic=monotonic)
        routing = Routing(
            [
                Provider(name, ProviderType(name), address, keys=(_KEY,), keys_setting="no setting: it is invented")
                for name, (_, address) in PROVIDERS.items()
            ],
            monotonic,
            now,
        )
        return replace(
            real,
            real=real,
            routing=routing,
            managed=managed_providers(database, real.settings, now),
            key_health=KeyHealth(routing, lambda: ()),
            database=database,
            identities=identities,
            groups=groups,
            group_names=follow_group_names(database, now=now),
            token_uses=uses,
            people=People(database, identities, groups, uses, now=now),
            tokens=Tokens(database, identities, uses),
            sign_ins=SignIns(database, identities, now=now, times=DEFAULT_TIMES),
            interceptions=Interceptions(database),
            search=SearchIndex(database),
            sessions=Sessions(database),
            questions=Questions(database),
            overload=OverloadProtection(real.overload.settings),
            policies=FollowedPolicies(database, zone=real.settings.budget_timezone, now=now),
            breakers=None,
            lifecycle=Lifecycle(),
            cluster=None,
            workers=None,
        )
