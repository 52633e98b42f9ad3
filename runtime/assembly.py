"""From settings to a running bridge: every part is made here, once, and handed to who needs it."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic, monotonic_ns, time_ns
from typing import Any, Self
from uuid import UUID

import msgspec

from handlers.access import AccessRecorder
from handlers.api.limits import report
from handlers.bridge import Bridge
from handlers.dataplane.shared.chat_usage import ChatUsage
from handlers.dataplane.shared.record_log import RecordLog
from handlers.key_health import KeyHealth, report_refused_keys
from handlers.lifecycle import Lifecycle
from handlers.operation.loop_lag import LoopLag
from handlers.operation.metrics import Metrics
from handlers.operation.metrics_folder import VARIABLE, MetricsFolder
from handlers.timer import TimerFactory
from limits.overload import OverloadProtection
from limits.protection.user_shares import UserShares
from resources.interceptions import interception_as_json
from runtime.authority import WorkerAuthority
from runtime.budgets import restore_budgets
from runtime.ids import time_ordered_ids
from runtime.jobs import Jobs
from runtime.managed import follow_providers, make_managed_providers
from runtime.parts import known_secrets, make_breakers, make_cluster, make_edge_options, make_overload
from runtime.policy_budgets import PolicyBudgets, open_policies
from settings import ChatStreamUsage, LimitsScope, SettingError, Settings
from storage.accounts.access_trail import AccessTrail
from storage.accounts.active_tokens import ActiveTokens
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.sign_in_sessions import SessionTimes
from storage.accounts.sign_ins import SignIns
from storage.accounts.token_uses import TokenUses
from storage.admission.cluster import ClusterAuthority
from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.session_job import SessionJob
from storage.aggregation.threads import Threads
from storage.live.live import Live
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from storage.queries.facets import Facets
from storage.queries.interceptions import Interceptions
from storage.queries.people import People
from storage.queries.recorded import Recorded
from storage.queries.refusals import Refusals
from storage.queries.sessions import Sessions
from storage.queries.statistics import Statistics
from storage.queries.tokens import Tokens
from storage.recording.batch_files import BatchFiles
from storage.recording.instances import Instances
from storage.recording.outbox.segments import SpoolOpenError
from storage.recording.outbox.spool import Spool
from storage.recording.outbox.spool_folders import SpoolFolders
from storage.recording.prices import Prices
from storage.recording.recorder import Recorder, RecordPolicy
from upstream.client import UpstreamClient
from upstream.providers import Provider
from upstream.table import Routing
from version import VERSION

# What a stopping server gives its recorder to write down what it still holds.
FLUSH_SECONDS = 10.0


def now() -> datetime:
    """The wall clock in UTC, in the whole milliseconds that MongoDB keeps."""
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


@dataclass(frozen=True)
class Process:
    """What all parts of a bridge share. `id` is that of the instance; `stack` closes what was opened, the last first."""

    settings: Settings
    database: Database
    stack: AsyncExitStack
    id: UUID
    new_id: Callable[[], UUID]
    metrics: Metrics
    lifecycle: Lifecycle
    jobs: Jobs
    workers: WorkerAuthority | None = None

    @classmethod
    def begin(
        cls, settings: Settings, database: Database, stack: AsyncExitStack, workers: WorkerAuthority | None = None
    ) -> Self:
        """Begin a process; nothing of it runs yet."""
        if settings.limits_scope is LimitsScope.PROCESS:
            workers = None
        new_id = time_ordered_ids().__next__
        metrics = Metrics(MetricsFolder(Path(os.environ[VARIABLE])) if settings.workers > 1 else None)
        jobs = Jobs(clock=monotonic, on_failure=metrics.job_failed)
        metrics.watch_jobs(jobs)
        return cls(settings, database, stack, new_id(), new_id, metrics, Lifecycle(now()), jobs, workers)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a background job."""
        self.stack.push_async_callback(self.jobs.start(name, run).stop)

    @property
    def spools(self) -> SpoolFolders:
        """Those in its data-dir."""
        return SpoolFolders(self.settings.data_dir / "spool")


async def open_bridge(
    settings: Settings,
    database: Database,
    providers: list[Provider],
    stack: AsyncExitStack,
    workers: WorkerAuthority | None = None,
) -> Bridge:
    """Put the parts together, and start all that runs beside them. Closed with the stack, what is recorded last of all.

    Args:
        settings: What the operator decided.
        database: What it records in.
        providers: Where calls go.
        stack: Closes it.
        workers: In a worker, what decides about limits for all workers of the server.

    Raises:
        SpoolOpenError: another server has its spool in this data-dir, or it cannot be opened.
        SettingError: OpenTelemetry's environment cannot be used.
    """
    process = Process.begin(settings, database, stack, workers)
    bridge = await assemble(process, providers)
    start_upkeep(process, bridge)
    return bridge


async def assemble(process: Process, providers: list[Provider]) -> Bridge:
    """Open the parts in the order in which they need one another, with the jobs that serving needs.

    Raises:
        SpoolOpenError: another server has its spool in this data-dir, or it cannot be opened.
        SettingError: OpenTelemetry's environment cannot be used.
    """
    settings, database, metrics = process.settings, process.database, process.metrics
    process.start("database", database.health.watch)
    overload, cluster = await open_admission(process)
    routing = Routing(providers, monotonic, now, is_complete=False)
    instances = await open_heartbeat(process, partial(report_refused_keys, routing))
    recorder = await open_recorder(process, providers)
    secrets = known_secrets(settings)
    managed = make_managed_providers(settings, database, now)
    followed = await follow_providers(settings, managed, routing, secrets, recorder.set_providers)
    upstream = open_upstream(process)
    trace = open_traces(settings, process.id, process.stack)
    session_times = SessionTimes(settings.session_idle_timeout, settings.session_lifetime)
    identities = make_identities(process, session_times)
    groups, token_uses = Groups(database, identities, now=now), open_token_uses(process)
    access = open_access(process)
    refusal_recorder = open_refusal_recorder(process)
    live = open_live(process, identities)
    policies = await open_policies(database, settings.budget_timezone, now)
    return Bridge(
        options=make_edge_options(settings),
        routing=routing,
        managed=managed,
        followed=followed,
        secrets=secrets,
        key_health=KeyHealth(routing, lambda: instances.refused_elsewhere),
        database=database,
        identities=identities,
        groups=groups,
        token_uses=token_uses,
        tokens=Tokens(database, identities, token_uses),
        people=People(database, identities, groups, token_uses, now=now),
        sign_ins=SignIns(database, identities, now=now, times=session_times),
        recorder=recorder,
        interceptions=Interceptions(database),
        recorded=Recorded(database),
        batch_files=BatchFiles(database),
        refusal_recorder=refusal_recorder,
        refusals=Refusals(database),
        sessions=Sessions(database),
        names=Facets(database),
        statistics=Statistics(database),
        live=live,
        upstream=upstream,
        chat_usage=ChatUsage(ensure=settings.chat_stream_usage is ChatStreamUsage.ENSURE, monotonic=monotonic),
        overload=overload,
        policies=policies,
        shares=UserShares(settings.user_max_concurrency),
        breakers=make_breakers(settings, metrics),
        metrics=metrics,
        record_log=RecordLog(enabled=settings.structured_logging),
        lifecycle=process.lifecycle,
        jobs=process.jobs,
        access=access,
        active_tokens=ActiveTokens(database, now=now, monotonic=monotonic),
        now=now,
        monotonic=monotonic,
        new_id=process.new_id,
        cluster=cluster,
        workers=process.workers,
        trace=trace,
    )


def start_upkeep(process: Process, bridge: Bridge) -> None:
    """Start the jobs that no request waits for: what becomes of records and counts, and what is measured of the process."""
    database, lifecycle, metrics = process.database, process.lifecycle, process.metrics
    lag = LoopLag()
    metrics.watch("event_loop_lag_seconds", "Delay of the event loop.", lambda: lag.seconds, across="livemax")
    process.start("event_loop_lag", lag.watch)
    process.start("providers", bridge.followed.run)
    process.start("policies", bridge.policies.follow)
    budgets = PolicyBudgets(
        *(database, bridge.policies, bridge.identities, bridge.overload.authority),
        zone=process.settings.budget_timezone,
        now=now,
    )
    process.start("policy_budgets", budgets.run)
    process.start("access_trail", bridge.access.run)
    process.start("token_uses", bridge.token_uses.run)
    process.start("refusals", bridge.refusal_recorder.run)
    process.start("threads", Threads(database, now=now).run)
    process.start("counting", RollupJob(database, now=now).run)
    process.start("sessions", SessionJob(database, busy=lambda: lifecycle.in_flight > 0).run)
    process.start("spool", partial(process.spools.adopt, database))
    process.start("metrics", metrics.publish)
    if process.settings.limits_scope is not LimitsScope.CLUSTER:
        overload = bridge.overload
        process.start("budgets", partial(restore_budgets, database, overload.limits, overload.authority, now))


async def open_admission(process: Process) -> tuple[OverloadProtection, ClusterAuthority | None]:
    """Open what admits requests, and what counts for all servers where that is set and no supervisor does it."""
    workers, cluster = process.workers, None
    if workers is None:
        cluster = make_cluster(process.settings, process.database, process.id)
    overload = make_overload(process.settings, process.metrics, cluster or workers)
    if workers is not None:
        workers.scope = "cluster" if process.settings.limits_scope is LimitsScope.CLUSTER else "server"
        workers.report = lambda: msgspec.json.encode(report(process.lifecycle, overload))
    if cluster is not None:
        await cluster.open(lambda: report(process.lifecycle, overload))
        process.stack.push_async_callback(cluster.close)
        process.start("limits", cluster.run)
    return overload, cluster


async def open_heartbeat(process: Process, refused_keys: Callable[[], Sequence[dict[str, Any]]]) -> Instances:
    """Register among the servers, tell them of refused keys, and watch over them."""
    instances = Instances(
        process.database,
        instance_id=process.id,
        host=socket.gethostname(),
        version=VERSION,
        refused_keys=refused_keys,
        clock=monotonic,
    )
    await instances.open()
    process.stack.push_async_callback(instances.close)
    process.start("heartbeat", instances.run)
    return instances


async def open_recorder(process: Process, providers: list[Provider]) -> Recorder:
    """Open the recorder, with the spool of this process.

    Raises:
        SpoolOpenError: another server has it open, or the data-dir is unusable.
    """
    recorder = Recorder(
        process.database,
        instance_id=process.id,
        policy=RecordPolicy(process.settings.record_policy.value),
        spool=open_spool(process.spools, process.settings),
        now=now,
        new_id=process.new_id,
        prices=Prices({provider.name: (provider.preset.prices, provider.base_url) for provider in providers}),
    )
    await recorder.open()
    process.stack.push_async_callback(recorder.close, FLUSH_SECONDS)
    watch = process.metrics.watch
    watch("recorder_queue_length", "Records that wait in memory.", lambda: recorder.queue_length)
    watch("recorder_spooled_records", "Records that wait in the spool alone.", lambda: recorder.spooled_records)
    return recorder


def open_upstream(process: Process) -> UpstreamClient:
    """Open the client of all providers."""
    upstream = UpstreamClient(
        connect_timeout=process.settings.upstream_connect_timeout.total_seconds(),
        idle_timeout=process.settings.upstream_idle_timeout.total_seconds(),
        keepalive=process.settings.upstream_keepalive.total_seconds(),
    )
    process.stack.push_async_callback(upstream.close)
    return upstream


def open_access(process: Process) -> AccessRecorder:
    """Open what records who got in and who did not."""
    trail = AccessTrail(process.database, now=now)
    process.stack.push_async_callback(trail.close)
    failure_limit = process.settings.authentication_failure_limit
    return AccessRecorder(process.metrics, trail, monotonic_ns, failure_limit=failure_limit)


def open_token_uses(process: Process) -> TokenUses:
    """Open what writes down when tokens were used last."""
    uses = TokenUses(process.database, now=now, monotonic=monotonic)
    process.stack.push_async_callback(uses.close)
    return uses


def open_refusal_recorder(process: Process) -> RefusalRecorder:
    """Open what writes down which requests were refused."""
    recorder = RefusalRecorder(process.database, now=now)
    process.stack.push_async_callback(recorder.close)
    waiting = "Rows and totals of refusals waiting in memory."
    process.metrics.watch("refusals_waiting", waiting, lambda: recorder.waiting)
    return recorder


def open_live(process: Process, identities: Identities) -> Live:
    """Open what tells listeners of interceptions."""
    live = Live(process.database, identities, interception_as_json)
    process.stack.push_async_callback(live.close)
    return live


def make_identities(process: Process, session_times: SessionTimes) -> Identities:
    """Users, tokens and sessions."""
    return Identities(
        process.database,
        now=now,
        monotonic=monotonic,
        tokens_per_user=process.settings.tokens_per_user,
        session_times=session_times,
    )


def open_traces(settings: Settings, instance_id: UUID, stack: AsyncExitStack) -> TimerFactory | None:
    """What follows requests for a collector; None when nothing is traced. What is left is sent with the stack's end.

    Raises:
        SettingError: OpenTelemetry's environment cannot be used.
    """
    if not settings.otel_traces:
        return None
    from handlers.operation.otel import Tracing  # noqa: PLC0415 - not installed everywhere, and slow

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


def open_spool(spools: SpoolFolders, settings: Settings) -> Spool:
    """Open the spool of this process in the data-dir, which is made if missing.

    Raises:
        SpoolOpenError: another server has it open, or the data-dir is unusable.
    """
    try:
        return spools.claim() if settings.workers == 1 else spools.claim_numbered()
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}"
        raise SpoolOpenError(f"the data-dir {settings.data_dir} cannot be used: {reason}") from error
