"""Everything the handlers work with, made once in `runtime.assembly` and handed to each through `initialize`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from handlers.dataplane.shared import ChatUsage, FetchedCalls, ProviderLog
from handlers.identity.access_recorder import AccessRecorder
from handlers.key_health import KeyHealth
from handlers.lifecycle import Lifecycle
from handlers.limits_state import Workers
from handlers.monitoring.metrics import Metrics
from handlers.timer import TimerFactory
from http1.requests import MalformedRequestError
from intercept.refusals import Refusal
from intercept.secrets import KnownSecrets
from limits.protection.circuit_breaker import CircuitBreakers
from limits.protection.concurrency import UserShares
from limits.protection.failures import Failures
from limits.protection.mixin import client_key
from limits.protection.overload import OverloadProtection
from resources.fields import Names
from resources.providers import check_provider
from runtime.jobs import Jobs
from settings import Settings
from storage.accounts.authentication import ActiveTokens
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.sign_in.devices import Devices
from storage.accounts.sign_in.sign_ins import SignIns
from storage.accounts.sign_in.single_sign_on import SingleSignOn
from storage.accounts.token_uses import TokenUses
from storage.accounts.users import Identity
from storage.admission.cluster import ClusterAuthority
from storage.demo.store import Demo, DemoStore
from storage.derived.job import DerivedJob
from storage.derived.refusal_recorder import RefusalRecorder
from storage.mongo.clocks import Pause
from storage.mongo.database import Database
from storage.mongo.followed import Followed
from storage.policies.followed import FollowedPolicies
from storage.prices.own_prices import KeptPrices
from storage.prices.pricing import Prices
from storage.providers.documents import StoredProvider
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import Sealer
from storage.queries.accounts import People, Tokens
from storage.queries.interceptions import Interceptions
from storage.queries.questions.questions import Questions
from storage.queries.sessions import Sessions
from storage.recording.client_events import ClientEvents
from storage.recording.recorder import Recorder
from storage.search.find import SearchIndex
from upstream.client import UpstreamClient
from upstream.credentials.access import credential_hint
from upstream.credentials.keys import KeyPool
from upstream.providers.provider import Provider
from upstream.providers.table import Routing
from upstream.telemetry import TelemetryForwarder

if TYPE_CHECKING:
    from upstream.openid.provider import OpenIDProvider


class DemoView(Protocol):
    """The demo company beside the database of a bridge."""

    @property
    def store(self) -> DemoStore:
        """Its database."""

    def fill(self, demo: Demo) -> None:
        """Have it filled in. Returns at once."""

    async def run(self) -> None:
        """Fill it in when that was requested, until cancelled."""

    def make(self, real: Bridge) -> Bridge:
        """Make a bridge of its database, for requests whose sender is not known yet."""

    async def open(self, real: Bridge) -> tuple[Bridge, Identity] | None:
        """Return a bridge of what is in its database now, and who looks at that; None while it is not there."""


@dataclass(frozen=True)
class Bridge:
    """The parts of a running bridge.

    `now` is the wall clock in UTC, `monotonic` counts seconds, `pause` waits for so many seconds. These may be None:
    `breakers` if they are off, `cluster` if this process does not ask the database about limits, `workers` if it does not
    ask a supervisor, `trace` if no request is followed for a collector, `telemetry_forwarder` if what clients report goes to
    none, and `openid` if nobody signs in at a provider.
    `real` is that of which this one shows the demo company: it knows the callers.
    """

    settings: Settings
    routing: Routing
    managed: ManagedProviders
    followed: Followed[Sequence[StoredProvider]]
    secrets: KnownSecrets
    key_health: KeyHealth
    database: Database
    demo: DemoView
    identities: Identities
    groups: Groups
    group_names: Followed[Mapping[UUID, str]]
    token_uses: TokenUses
    people: People
    tokens: Tokens
    sign_ins: SignIns
    devices: Devices
    device_starts: Failures
    single_sign_on: SingleSignOn
    recorder: Recorder
    pricing: Prices
    interceptions: Interceptions
    search: SearchIndex
    refusal_recorder: RefusalRecorder
    client_events: ClientEvents
    sessions: Sessions
    questions: Questions
    derived: DerivedJob
    upstream: UpstreamClient
    chat_usage: ChatUsage
    overload: OverloadProtection
    policies: FollowedPolicies
    prices: Followed[KeptPrices]
    shares: UserShares
    breakers: CircuitBreakers | None
    metrics: Metrics
    lifecycle: Lifecycle
    jobs: Jobs
    access: AccessRecorder
    active_tokens: ActiveTokens
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    new_id: Callable[[], UUID]
    cluster: ClusterAuthority | None = None
    workers: Workers | None = None
    trace: TimerFactory | None = None
    telemetry_forwarder: TelemetryForwarder | None = None
    openid: OpenIDProvider | None = None
    real: Bridge | None = None
    pause: Pause = asyncio.sleep
    provider_log: ProviderLog = field(default_factory=lambda: ProviderLog(monotonic_ns))
    fetched: FetchedCalls = field(default_factory=FetchedCalls)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers that there are now, by name."""
        return self.routing.table.providers

    @property
    def key_pools(self) -> Mapping[str, KeyPool]:
        """The keys of providers, by name of the provider."""
        return self.routing.table.key_pools

    async def read_names(self, users: Collection[UUID], groups: Collection[UUID], tokens: Collection[str]) -> Names:
        """Read the names of users and groups by id, and tokens with their users.

        Raises:
            DatabaseUnavailableError: The database is unavailable.
        """
        known = await self.tokens.by_id(tokens) if tokens else {}
        users = {*users, *(token.user_id for token in known.values())}
        return Names(await self.identities.users_by_id(users), await self.groups.by_id(groups), known)

    def note_refusal(self, refusal: Refusal) -> None:
        """Record and count a request that was refused. Returns at once."""
        self.refusal_recorder.note(refusal)
        if refusal.shadow:
            self.metrics.shadow_refusals(refusal.rule).inc()
        else:
            self.metrics.refusals(refusal.rule, refusal.status).inc()

    def note_unread(self, error: MalformedRequestError, remote_ip: str) -> None:
        """Record and count a request that its connection refused before any handler had it."""
        self.note_refusal(
            Refusal(rule=error.rule, status=error.status, client_ip=client_key(remote_ip), message=error.message)
        )


def managed_providers(database: Database, settings: Settings, now: Callable[[], datetime]) -> ManagedProviders:
    """The providers of a database, as they are changed, and what seals their keys."""
    sealer = Sealer(settings.encryption_keys)
    return ManagedProviders(database, sealer, check=check_provider, hint=credential_hint, now=now)
