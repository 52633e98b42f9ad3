"""From settings to a running bridge: every part is made here, once, and handed to who needs it."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic, monotonic_ns, time_ns
from urllib.parse import unquote, urlsplit
from uuid import UUID

from handlers.access import AccessRecorder
from handlers.bridge import Bridge, EdgeOptions
from handlers.chat_usage import ChatUsage
from handlers.lifecycle import Lifecycle
from handlers.limits import report
from handlers.loop_lag import LoopLag
from handlers.metrics import Metrics
from handlers.metrics_folder import VARIABLE, MetricsFolder
from handlers.phases import Follow
from handlers.record_log import RecordLog
from identifiers import time_ordered_ids
from intercept.apis import Dialect
from intercept.known_secrets import KnownSecrets
from jobs import Jobs
from limits.circuit_breaker import BreakerPolicy, CircuitBreakers
from limits.overload import OverloadProtection
from limits.user_shares import UserShares
from settings import ChatStreamUsage, LimitsScope, ProviderSettings, SettingError, Settings, TokenCreation
from settings.declarations import DEFAULT_BASE_URLS
from storage.access_trail import AccessTrail
from storage.active_tokens import ActiveTokens
from storage.admissions import Admissions, SharedLimits
from storage.database import Database
from storage.embedded import EmbeddedMongoDB
from storage.grouping import Grouping
from storage.identities import Identities
from storage.instances import Instances
from storage.interceptions import Interceptions
from storage.journal import Journal, JournalError
from storage.live import Live
from storage.names import Names
from storage.prices import Prices
from storage.recorded import Recorded
from storage.recorder import Recorder, RecordPolicy
from storage.refusal_recorder import RefusalRecorder
from storage.refusals import Refusals
from storage.rollups import Rollups
from storage.sessions import Sessions
from storage.sign_in_sessions import SessionTimes
from storage.sign_ins import SignIns
from storage.spool import Spool
from storage.statistics import Statistics
from storage.threads import Threads
from upstream.client import UpstreamClient
from upstream.keys import KeyPool
from upstream.providers import Provider, ProviderType
from version import VERSION

# What a stopping server gives its recorder to write down what it still holds.
FLUSH_SECONDS = 10.0


def now() -> datetime:
    """The wall clock in UTC, in the whole milliseconds that MongoDB keeps."""
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


def make_provider(settings: ProviderSettings) -> Provider:
    """A provider as it was set. Away from the vendor's own address, one without a key is a server that needs none."""
    return Provider(
        name=settings.name,
        type=ProviderType(settings.type.value),
        base_url=settings.base_url,
        keys=settings.keys,
        keys_setting=settings.keys_setting,
        keyless=settings.base_url != DEFAULT_BASE_URLS[Dialect(settings.type)],
    )


def make_providers(settings: Settings, demo_url: str) -> list[Provider]:
    """All providers as they were set, and the demo provider where it has a URL."""
    providers = [make_provider(one) for one in settings.providers]
    if demo_url:
        providers.append(Provider("demo", ProviderType.DEMO, demo_url, keyless=True))
    return providers


def known_secrets(settings: Settings) -> KnownSecrets:
    """The secrets that the operator set: the providers' keys, and the database's password."""
    password = urlsplit(settings.mongodb_uri).password or ""
    return KnownSecrets((*(key for one in settings.providers for key in one.keys), password, unquote(password)))


def make_breakers(settings: Settings, metrics: Metrics) -> CircuitBreakers | None:
    """The circuit breakers as they were set; None when they are off."""
    if not settings.circuit_breaker_enabled:
        return None
    policy = BreakerPolicy(
        failure_threshold=settings.circuit_breaker_failure_threshold,
        interval=settings.circuit_breaker_interval,
        timeout=settings.circuit_breaker_timeout,
        max_requests=settings.circuit_breaker_max_requests,
    )
    breakers = CircuitBreakers(policy, monotonic_ns, metrics.breaker_changed)
    metrics.watch_breakers(breakers.states)
    return breakers


def make_admissions(settings: Settings, database: Database, process: UUID) -> Admissions | None:
    """Who counts for all processes; None when each counts for itself."""
    if settings.limits_scope is LimitsScope.PROCESS:
        return None
    limits = SharedLimits(
        max_concurrency=settings.max_concurrency,
        user_max_concurrency=settings.user_max_concurrency,
        rate_limit=settings.rate_limit,
        user_rate_limit=settings.user_rate_limit,
        rate_window=settings.rate_window,
    )
    return Admissions(database, process=process, limits=limits)


def open_traces(settings: Settings, instance_id: UUID, stack: AsyncExitStack) -> Follow | None:
    """What follows requests for a collector; None when nothing is traced. What is left is sent with the stack's end.

    Raises:
        SettingError: OpenTelemetry's environment cannot be used.
    """
    if not settings.otel_traces:
        return None
    from handlers.otel import Tracing  # noqa: PLC0415 - not installed everywhere, and slow

    try:
        tracing = Tracing(instance_id=instance_id, clock=monotonic)
    except ValueError as error:
        raise SettingError(f"otel-traces: {error}") from error
    stack.push_async_callback(tracing.close)
    return tracing.follow


async def open_mongodb(settings: Settings, stack: AsyncExitStack) -> str:
    """Say where to record: at the URI that is set, or in an embedded MongoDB, which is stopped with the stack.

    Raises:
        EmbeddedUnavailableError: none can be started here.
    """
    if settings.mongodb_uri:
        return settings.mongodb_uri
    embedded = await EmbeddedMongoDB.start(settings.data_dir)
    stack.push_async_callback(embedded.stop)
    return embedded.uri


def open_database(uri: str, settings: Settings, stack: AsyncExitStack) -> Database:
    """Make the database of a URI. Closed with the stack.

    Raises:
        DatabaseUnavailableError: the URI is not one.
    """
    database = Database.connect(uri, settings.mongodb_database)
    stack.callback(database.close)
    return database


def open_journal(spool: Spool, settings: Settings) -> Journal:
    """Open the journal of this process in the data-dir, which is made if missing.

    Raises:
        JournalError: another server has it open, or the data-dir is unusable.
    """
    try:
        return spool.claim() if settings.workers == 1 else spool.claim_numbered()
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}"
        raise JournalError(f"the data-dir {settings.data_dir} cannot be used: {reason}") from error


async def open_bridge(
    settings: Settings, database: Database, providers: list[Provider], stack: AsyncExitStack
) -> Bridge:
    """Put the parts together. Closed with the stack, what is recorded last of all.

    Raises:
        JournalError: another server keeps its journal in this data-dir, or it cannot be opened.
        SettingError: OpenTelemetry's environment cannot be used.
    """
    new_id = time_ordered_ids().__next__
    instance_id = new_id()
    metrics = Metrics(MetricsFolder(Path(os.environ[VARIABLE])) if settings.workers > 1 else None)
    spool = Spool(settings.data_dir / "spool")
    lifecycle = Lifecycle(now())
    admissions = make_admissions(settings, database, instance_id)
    overload = OverloadProtection(
        max_concurrency=settings.max_concurrency,
        rate_limit=settings.rate_limit,
        user_rate_limit=settings.user_rate_limit,
        rate_window=settings.rate_window,
        user_max_concurrency=settings.user_max_concurrency,
        on_rejection=metrics.rejected,
        shared=admissions,
    )
    jobs = Jobs(clock=monotonic, on_failure=metrics.job_failed)
    metrics.watch_jobs(jobs)

    def start(name: str, run: Callable[[], Awaitable[None]]) -> None:
        stack.push_async_callback(jobs.start(name, run).stop)

    if admissions is not None:
        await admissions.open(lambda: report(lifecycle, overload))
        stack.push_async_callback(admissions.close)
        start("limits", admissions.run)
    instances = Instances(
        database, instance_id=instance_id, host=socket.gethostname(), version=VERSION, clock=monotonic
    )
    await instances.open()
    stack.push_async_callback(instances.close)
    start("heartbeat", instances.run)
    recorder = Recorder(
        database,
        instance_id=instance_id,
        policy=RecordPolicy(settings.record_policy.value),
        journal=open_journal(spool, settings),
        now=now,
        new_id=new_id,
        prices=Prices({provider.name: (provider.type.value, provider.base_url) for provider in providers}),
    )
    await recorder.open()
    stack.push_async_callback(recorder.close, FLUSH_SECONDS)
    upstream = UpstreamClient(
        connect_timeout=settings.upstream_connect_timeout.total_seconds(),
        idle_timeout=settings.upstream_idle_timeout.total_seconds(),
    )
    stack.push_async_callback(upstream.close)
    trace = open_traces(settings, instance_id, stack)
    lag = LoopLag()
    rollups = Rollups(database, now=now)
    grouping = Grouping(database, busy=lambda: lifecycle.in_flight > 0)
    start("event_loop_lag", lag.watch)
    start("threads", Threads(database, now=now).run)
    start("counting", rollups.run)
    start("sessions", grouping.run)
    start("spool", partial(spool.adopt, database))
    start("metrics", metrics.publish)
    metrics.watch(
        "event_loop_lag_seconds", "By how much the event loop runs late.", lambda: lag.seconds, across="livemax"
    )
    metrics.watch("recorder_queue_length", "Records that wait in memory.", lambda: recorder.queue_length)
    metrics.watch("recorder_spooled_records", "Records that wait in the journal.", lambda: recorder.spooled_records)
    session_times = SessionTimes(settings.session_idle_timeout, settings.session_lifetime)
    identities = Identities(
        database,
        now=now,
        monotonic=monotonic,
        tokens_per_user=settings.tokens_per_user,
        session_times=session_times,
    )
    trail = AccessTrail(database, now=now)
    stack.push_async_callback(trail.close)
    start("access_trail", trail.run)
    refusal_recorder = RefusalRecorder(database, now=now)
    stack.push_async_callback(refusal_recorder.close)
    start("refusals", refusal_recorder.run)
    metrics.watch(
        "refusals_waiting", "Rows and totals of refusals that wait in memory.", lambda: refusal_recorder.waiting
    )
    live = Live(database, identities)
    stack.push_async_callback(live.close)
    return Bridge(
        options=EdgeOptions(
            max_body_bytes=settings.max_body_bytes,
            allow_byok=settings.allow_byok,
            allow_billing_headers=settings.allow_billing_headers,
            send_actor_headers=settings.send_actor_headers,
            keepalive_seconds=settings.keepalive_interval.total_seconds(),
            trusted_proxies=settings.trusted_proxies,
            members_create_tokens=settings.token_creation is TokenCreation.MEMBERS,
            tokens_per_user=settings.tokens_per_user,
        ),
        providers={provider.name: provider for provider in providers},
        secrets=known_secrets(settings),
        key_pools={provider.name: KeyPool(provider.keys, monotonic, now) for provider in providers if provider.keys},
        database=database,
        identities=identities,
        sign_ins=SignIns(database, identities, now=now, times=session_times),
        recorder=recorder,
        interceptions=Interceptions(database),
        recorded=Recorded(database),
        refusal_recorder=refusal_recorder,
        refusals=Refusals(database),
        sessions=Sessions(database),
        names=Names(database),
        statistics=Statistics(database),
        live=live,
        upstream=upstream,
        chat_usage=ChatUsage(ensure=settings.chat_stream_usage is ChatStreamUsage.ENSURE, monotonic=monotonic),
        overload=overload,
        shares=UserShares(settings.user_max_concurrency),
        breakers=make_breakers(settings, metrics),
        metrics=metrics,
        record_log=RecordLog(enabled=settings.structured_logging),
        lifecycle=lifecycle,
        jobs=jobs,
        access=AccessRecorder(metrics, trail, monotonic_ns, failure_limit=settings.authentication_failure_limit),
        active_tokens=ActiveTokens(database, now=now, monotonic=monotonic),
        now=now,
        monotonic=monotonic,
        new_id=new_id,
        admissions=admissions,
        trace=trace,
    )
