"""From settings to a running bridge: creates every part once, and passes it to the parts that need it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from time import monotonic, monotonic_ns
from uuid import UUID

from handlers.bridge import Bridge, managed_providers
from handlers.dataplane.shared import ChatUsage
from handlers.identity.access_recorder import AccessRecorder
from handlers.key_health import KeyHealth, report_refused_keys
from handlers.monitoring.metrics import LoopLag
from handlers.timer import TimerFactory
from installation import how_to_install
from limits.protection.concurrency import UserShares
from limits.protection.failures import Failures
from limits.protection.overload import OverloadProtection
from runtime.alerts.assembly import start_alerts
from runtime.authority import WorkerAuthority
from runtime.demo import DemoDatabase
from runtime.factories import (
    known_secrets,
    make_breakers,
    make_cluster,
    make_limit_settings,
    make_openid,
    make_telemetry_forwarder,
)
from runtime.process import Process, now
from runtime.provider_table import follow_providers
from runtime.restored_budgets import RestoredBudgets
from runtime.storage import (
    make_membership,
    open_recorder,
)
from settings import ChatStreamUsage, LimitsScope, SettingError, Settings
from settings.loading import make_client
from storage.accounts.audit import AccessTrail
from storage.accounts.authentication import ActiveTokens
from storage.accounts.groups import Groups, follow_group_names
from storage.accounts.identities import Identities
from storage.accounts.sign_in.devices import Devices
from storage.accounts.sign_in.sessions import SessionTimes
from storage.accounts.sign_in.sign_ins import SignIns
from storage.accounts.sign_in.single_sign_on import SingleSignOn
from storage.accounts.token_uses import TokenUses
from storage.admission.cluster import ClusterAuthority
from storage.derived.job import DerivedJob
from storage.derived.refusal_recorder import RefusalRecorder
from storage.members.membership import Membership
from storage.mongo.database import Database
from storage.mongo.followed import Followed
from storage.policies.followed import FollowedPolicies
from storage.prices.own_prices import NO_VERSION, KeptPrices
from storage.prices.recosting import Recosting
from storage.prices.store import PriceStore
from storage.queries.accounts import People, Tokens
from storage.queries.interceptions import Interceptions
from storage.queries.questions.questions import Questions
from storage.queries.sessions import Sessions
from storage.recording.client_events import ClientEvents
from storage.recording.left_calls import WATCH_SECONDS, end_what_is_left
from storage.recording.outbox.writer import adopt
from storage.recording.text_retention import PASS_SECONDS, remove_due
from storage.search.find import SearchIndex
from storage.search.writing import add_entries, remove_entries
from upstream.providers.provider import Provider
from upstream.providers.table import Routing

DEVICE_STARTS = 20
"""Programs at one address that may request a code within a minute."""


async def open_bridge(
    settings: Settings,
    database: Database,
    providers: list[Provider],
    stack: AsyncExitStack,
    workers: WorkerAuthority | None = None,
) -> Bridge:
    """Create all parts and start their jobs. The stack closes them, the recorder last.

    Args:
        settings: The settings.
        database: The database for records.
        providers: Where calls go.
        stack: Closes it.
        workers: In a worker, the authority that decides about limits for all workers of the server.

    Raises:
        SpoolOpenError: another server has its spool in this data-dir, or it cannot be opened.
        SettingError: OpenTelemetry's environment cannot be used.
    """
    process = Process.begin(settings, database, stack, workers)
    bridge = await assemble(process, providers)
    start_upkeep(process, bridge)
    return bridge


async def assemble(process: Process, providers: list[Provider]) -> Bridge:
    """Open the parts in the order of their dependencies, with the jobs that serving needs. Raises as `open_bridge`."""
    settings, database, metrics = process.settings, process.database, process.metrics
    process.start("database", database.health.watch)
    membership = process.closing(make_membership(settings, database, process.id, is_server=settings.workers == 1))
    overload, cluster = open_admission(process, membership)
    routing = Routing(providers, monotonic, now, is_complete=False)
    membership.refused_keys = partial(report_refused_keys, routing)
    await membership.open()
    process.start("heartbeat", membership.run)
    end_calls = partial(end_what_is_left, database, membership)
    waiting = "calls that dead processes left do not end"
    process.start("left_calls", partial(database.health.repeat, end_calls, waiting, WATCH_SECONDS))
    recorder = await open_recorder(process, providers)
    secrets = known_secrets(settings)
    managed = managed_providers(database, settings, now)
    followed = await follow_providers(settings, managed, routing, secrets, recorder.prices.set_providers)
    store = PriceStore(database, now=now)
    prices: Followed[KeptPrices] = Followed(
        store.read, lambda kept: recorder.prices.set_own(kept.prices), version=store.version, now=now
    )
    await prices.try_refresh()
    upstream = process.closing(make_client(settings))
    trace = open_traces(settings, process.id, process.stack)
    session_times = SessionTimes(settings.session_idle_timeout, settings.session_lifetime)
    identities = Identities(
        database, now=now, monotonic=monotonic, tokens_per_user=settings.tokens_per_user, session_times=session_times
    )
    groups = Groups(database, identities, now=now)
    token_uses = process.closing(TokenUses(database, now=now, monotonic=monotonic))
    trail = process.closing(AccessTrail(database, now=now))
    refusal_recorder = process.closing(RefusalRecorder(database, now=now))
    client_events = ClientEvents(
        database, now=now, counted=lambda outcome, number: metrics.telemetry_events(outcome).inc(number)
    )
    policies = FollowedPolicies(database, zone=settings.budget_timezone, now=now)
    await policies.followed.try_refresh()
    return Bridge(
        settings=settings,
        routing=routing,
        managed=managed,
        followed=followed,
        secrets=secrets,
        key_health=KeyHealth(routing, lambda: membership.refused_elsewhere),
        database=database,
        demo=DemoDatabase(database),
        identities=identities,
        groups=groups,
        group_names=follow_group_names(database, now=now),
        token_uses=token_uses,
        tokens=Tokens(database, identities, token_uses),
        people=People(database, identities, groups, token_uses, now=now),
        devices=Devices(database, identities, now=now),
        device_starts=Failures(DEVICE_STARTS, monotonic_ns),
        single_sign_on=SingleSignOn(
            *(database, identities, groups),
            now=now,
            links_users=settings.oidc_link_users,
            makes_groups=settings.oidc_create_groups,
        ),
        openid=make_openid(settings, upstream),
        sign_ins=SignIns(database, identities, now=now, times=session_times),
        recorder=recorder,
        pricing=recorder.prices,
        interceptions=Interceptions(database),
        search=SearchIndex(database),
        refusal_recorder=refusal_recorder,
        client_events=process.closing(client_events),
        telemetry_forwarder=make_telemetry_forwarder(
            settings, upstream, lambda outcome: metrics.telemetry_forwarded(outcome).inc()
        ),
        sessions=Sessions(database),
        questions=Questions(database),
        derived=DerivedJob(
            *(database, add_entries, remove_entries), now=now, busy=lambda: process.lifecycle.in_flight > 0
        ),
        upstream=upstream,
        chat_usage=ChatUsage(ensure=settings.chat_stream_usage is ChatStreamUsage.ENSURE, monotonic=monotonic),
        overload=overload,
        policies=policies,
        prices=prices,
        shares=UserShares(settings.user_max_concurrency),
        breakers=make_breakers(settings, metrics),
        metrics=metrics,
        lifecycle=process.lifecycle,
        jobs=process.jobs,
        access=AccessRecorder(metrics, trail, monotonic_ns, failure_limit=settings.authentication_failure_limit),
        active_tokens=ActiveTokens(database, now=now, monotonic=monotonic),
        now=now,
        monotonic=monotonic,
        new_id=process.new_id,
        cluster=cluster,
        workers=process.workers,
        trace=trace,
    )


def start_upkeep(process: Process, bridge: Bridge) -> None:
    """Start the jobs that no request waits for: derived figures, retention, alerts, and metrics of the process."""
    database, metrics = process.database, process.metrics
    lag = LoopLag()
    metrics.watch("event_loop_lag_seconds", "Delay of the event loop.", lambda: lag.seconds, across="livemax")
    process.start("event_loop_lag", lag.watch)
    process.start("providers", bridge.followed.run)
    process.start("policies", bridge.policies.followed.run)
    process.start("prices", bridge.prices.run)

    async def newest_prices() -> str:
        await bridge.prices.refresh()
        return bridge.prices.value.version if bridge.prices.value else NO_VERSION

    recosting = Recosting(database, bridge.pricing.cost, newest_prices, holder=process.id, now=now)
    process.start("recosting", partial(database.health.repeat, recosting.step, "re-costing waits"))
    process.start("demo", bridge.demo.run)
    overload = bridge.overload
    budgets = RestoredBudgets(
        *(database, overload.limits, bridge.policies, bridge.identities, overload.authority),
        zone=process.settings.budget_timezone,
        now=now,
    )
    process.start("budgets", budgets.run)
    start_alerts(process, bridge)
    process.start("access_trail", bridge.access.trail.run)
    process.start("token_uses", bridge.token_uses.run)
    process.start("group_names", bridge.group_names.run)
    waiting = "Rows and totals of refusals waiting in memory."
    metrics.watch("refusals_waiting", waiting, lambda: len(bridge.refusal_recorder))
    process.start("refusals", bridge.refusal_recorder.run)
    process.start("client_events", bridge.client_events.run)
    if bridge.telemetry_forwarder is not None:
        process.start("telemetry", bridge.telemetry_forwarder.run)
    derived = bridge.derived
    metrics.watch(
        *("figures_behind_seconds", "How far totals, sessions and the search are behind."),
        lambda: derived.behind_seconds,
        across="livemax",
    )
    process.start("derived", derived.run if process.workers is None else derived.watch)
    remove = partial(remove_due, database, now=now, removed=metrics.texts_removed.inc)
    waiting = "texts whose retention is over are not removed"
    process.start("text_retention", partial(database.health.repeat, remove, waiting, PASS_SECONDS))
    process.start("spool", partial(adopt, process.spool_folder, database))
    process.start("metrics", metrics.publish)


def open_admission(process: Process, membership: Membership) -> tuple[OverloadProtection, ClusterAuthority | None]:
    """Open what admits requests, and what counts for all servers where that is set and no supervisor does it."""
    workers, cluster = process.workers, None
    if workers is None:
        cluster = make_cluster(process.settings, process.database, membership)
    overload = OverloadProtection(
        make_limit_settings(process.settings), authority=cluster or workers, on_refusal=process.metrics.rejected
    )
    if workers is not None:
        workers.scope = "cluster" if process.settings.limits_scope is LimitsScope.CLUSTER else "server"
    if cluster is not None:
        process.closing(cluster).open()
    return overload, cluster


def open_traces(settings: Settings, instance_id: UUID, stack: AsyncExitStack) -> TimerFactory | None:
    """The tracer that sends spans to a collector; None without traces. The stack sends the rest at its end.

    Raises:
        SettingError: OpenTelemetry's environment cannot be used.
    """
    if not settings.otel_traces:
        return None
    try:
        from handlers.monitoring.otel import Tracing  # noqa: PLC0415 - not installed everywhere, and slow
    except ImportError:
        raise SettingError(f"otel-traces needs packages that are not installed; {how_to_install('otel')}") from None
    try:
        tracing = Tracing(instance_id=instance_id, clock=monotonic)
    except ValueError as error:
        raise SettingError(f"otel-traces: {error}") from error
    stack.push_async_callback(tracing.close)
    return tracing.follow
