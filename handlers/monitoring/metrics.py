"""Every metric the bridge exposes. Label values that clients choose are bounded in number; the rest is `other`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from intercept.ids import format_id
from intercept.records import Ending, EndReason, StartRecord, TokenUsage
from limits.protection.circuit_breaker import CircuitKey, CircuitState
from runtime.jobs import Job

PREFIX = "coder_aibridged_"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder that the processes of a server share before prometheus_client is first imported."""

OTHER = "other"
NAMES_KEPT = 200
"""Distinct names of each client-chosen kind (models, tools) that get a time series of their own."""

SPENDERS_KEPT = 1_000
"""Distinct users, each with their groups and a model, that get one."""

# Of each metric, those that are found without its lock.
SERIES_REMEMBERED = 1_000
DURATION_BUCKETS = (0.5, 2, 5, 15, 30, 60, 120)
FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
# How often a process publishes watched values to the others.
PUBLISH_SECONDS = 1.0

CIRCUIT_STATES: Final = (CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN)
CIRCUIT_LABELS: Final = "provider endpoint model"
# How often the delay of the event loop is measured.
SAMPLE_SECONDS = 0.5

# A series for the creation time of each counter would double their number and is useless.
disable_created_metrics()  # type: ignore[no-untyped-call]


_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


def series(metric: _Metric) -> Callable[..., _Metric]:
    """Return what finds a series by its labels: the library's own way takes a lock, and twenty times as long."""
    return lru_cache(SERIES_REMEMBERED)(metric.labels)


class ClientNames:
    """The label values of names that clients choose: the first ones are shown, and all others are `other`.

    Args:
        limit: How many are shown.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shown: set[str] = set()

    def __call__(self, name: str) -> str:
        """The label value for a name, the same each time."""
        if name not in self._shown:
            if len(self._shown) >= self._limit:
                return OTHER
            self._shown.add(name)
        return name


def counts_of(usage: TokenUsage) -> Iterator[tuple[str, int]]:
    """Yield the reported counts of tokens, by the label of each."""
    for kind, count in (
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("cache_read_input", usage.cache_read_input_tokens),
        ("cache_write_input", usage.cache_write_input_tokens),
    ):
        if count is not None:
            yield kind, count


class Spent(Struct, frozen=True):
    """A call that ended.

    Attributes:
        user: The name of its user.
        groups: The names of the groups that the user was in, as one text; empty for none.
        usd: What it cost; None without a price.
    """

    user: str
    groups: str
    usd: Decimal | None


class LoopLag:
    """Measures by how much a short sleep is exceeded. `seconds` is the latest sample."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def watch(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            self.seconds = max(0.0, loop.time() - due)


class Metrics:
    """The metrics of one server, in a registry of their own.

    Args:
        folder: That of `FOLDER_VARIABLE`, in a process of a server that has several.

    A public metric with labels is called with their values, and returns the series to count in.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._folder = folder
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._model, self._tool, self._spender = (
            ClientNames(NAMES_KEPT),
            ClientNames(NAMES_KEPT),
            ClientNames(SPENDERS_KEPT),
        )
        self._interceptions = self._counter(
            "interceptions", "Recorded calls that ended.", "provider model status route method initiator_id client"
        )
        inflight = self._gauge("interceptions_inflight", "Recorded calls under way.", "provider model route")
        self._inflight = series(inflight)
        self._duration = self._histogram(
            "interceptions_duration_seconds",
            "From start to end of a recorded call.",
            "provider model",
            DURATION_BUCKETS,
        )
        self._first_byte = self._histogram(
            "time_to_first_byte_seconds",
            "From start to the first byte of the response body.",
            "provider",
            FIRST_BYTE_BUCKETS,
        )
        self.passthrough = self._counter("passthrough", "Relayed calls that are not recorded.", "provider route method")
        self.retries = self._counter(
            "upstream_retries", "Calls retried, as nothing of them had reached the provider.", "provider"
        )
        self.fallbacks = self._counter(
            "provider_fallbacks", "Times that a provider could not answer, and another one was asked.", "provider next"
        )
        key_refused = self._gauge(
            "provider_key_refused",
            "Whether the provider refused a key of the bridge (401) and has accepted no call with it since.",
            "provider key",
            across="livemax",
        )
        self.key_refused = series(key_refused)
        self._prompts = self._counter("prompts", "User prompts recorded.", "provider model initiator_id client")
        self._tokens = self._counter("tokens", "Tokens recorded.", "provider model type initiator_id client")
        self._cost = self._counter(
            "cost_usd", "US dollars that recorded calls cost, where they have a price.", "provider model user group"
        )
        self._no_usage = self._counter(
            "interceptions_without_usage",
            "Recorded calls that ended without a report of tokens, although their API is billed.",
            "provider model client",
        )
        self._tools = self._counter(
            "non_injected_tool_selections", "Tool calls the model chose.", "provider model name"
        )
        self.refusals = self._counter("refusals", "Calls to providers that the bridge refused.", "rule status")
        self.telemetry_events = self._counter(
            "telemetry_events", "Events in the telemetry of clients, by what became of them.", "outcome"
        )
        self.telemetry_forwarded = self._counter(
            "telemetry_forwarded",
            "Requests with telemetry of clients for the collector, by what became of them.",
            "outcome",
        )
        self.shadow_refusals = self._counter(
            "shadow_refusals", "Calls that limits which only count would have refused.", "rule"
        )
        self._rejections = self._counter("overload_rejections", "Requests refused by overload protection.", "limit")
        self.authentication_failures = self._counter(
            "authentication_failures", "Requests without a valid token.", "reason plane"
        )
        self.access_denied = self._counter("access_denied", "Requests answered with 403.", "plane")
        self.sign_ins = Counter(PREFIX + "sign_ins", "Sign-ins to the dashboard.", registry=self.registry)
        self.texts_removed = Counter(
            PREFIX + "texts_removed",
            "Times that texts of a call were removed at the end of their retention.",
            registry=self.registry,
        )
        self._job_failures = self._counter("background_job_failures", "Times a background job failed.", "job")
        self._job_up = self._gauge(
            "background_job_up",
            "1 while a background job runs, 0 for a minute after it failed.",
            "job",
            across="livemin",
        )
        self._jobs: Iterable[Job] = ()
        self.overhead = self._histogram(
            "relay_overhead_seconds", "Time in the bridge before a call leaves it.", "phase", OVERHEAD_BUCKETS
        )
        self.upstream_head = self._histogram(
            "upstream_head_seconds",
            "From the request to a provider to the head of its response.",
            "provider",
            FIRST_BYTE_BUCKETS,
        )
        self._circuit_state = self._gauge(
            "circuit_breaker_state",
            "State of a circuit: 0 closed, 1 half-open, 2 open.",
            CIRCUIT_LABELS,
            across="livemax",
        )
        self._trips = self._counter("circuit_breaker_trips", "Times a circuit opened.", CIRCUIT_LABELS)
        self._rejects = self._counter("circuit_breaker_rejects", "Calls refused by an open circuit.", CIRCUIT_LABELS)
        self._circuits: Callable[[], Mapping[CircuitKey, CircuitState]] = dict
        self._worst: dict[tuple[str, str, str], int] = {}

    def watch(self, name: str, description: str, value: Callable[[], float], *, across: str = "livesum") -> None:
        """Expose a value that is read with the metrics.

        Args:
            name: Without the prefix that all have.
            description: For people.
            value: Reads it.
            across: How values of several processes are combined, in prometheus_client's words: `livesum` or `livemax`.
        """
        self._watched.append((self._gauge(name, description, "", across=across), value))

    def watch_circuits(self, states: Callable[[], Mapping[CircuitKey, CircuitState]]) -> None:
        """Expose the states of circuits, which time alone may change."""
        self._circuits = states

    def circuit_changed(self, key: CircuitKey, state: CircuitState) -> None:
        """A circuit changed its state."""
        if state is CircuitState.OPEN:
            self._trips(key.provider, key.endpoint, self._model(key.model)).inc()

    def watch_jobs(self, jobs: Iterable[Job]) -> None:
        """Expose which background jobs run, and how often each failed."""
        self._jobs = jobs

    def job_failed(self, name: str) -> None:
        """A background job failed."""
        self._job_failures(name).inc()

    async def publish(self) -> None:
        """Publish watched values to other processes, until cancelled; end at once where there are none."""
        while self._folder is not None:
            self._read_watched()
            await asyncio.sleep(PUBLISH_SECONDS)

    def rejected(self, limit: str) -> None:
        """A request was refused by that limit."""
        self._rejections(limit).inc()

    def started(self, interception: StartRecord) -> None:
        """A recorded call began."""
        model = self._model(interception.model)
        self._inflight(interception.provider_name, model, interception.route).inc()

    def moved(self, interception: StartRecord, provider_name: str) -> None:
        """A recorded call under way was answered by another provider than the one that its record names."""
        model = self._model(interception.model)
        self._inflight(interception.provider_name, model, interception.route).dec()
        self._inflight(provider_name, model, interception.route).inc()

    def ended(self, interception: StartRecord, ending: Ending, spent: Spent) -> None:
        """A recorded call ended."""
        provider, model = interception.provider_name, self._model(interception.model)
        route, client, initiator_id = interception.route, interception.client, format_id(interception.initiator_id)
        self._inflight(provider, model, route).dec()
        if ending.end_reason is EndReason.CIRCUIT_OPEN:
            self._rejects(provider, route, model).inc()
        status = ending.end_reason.status
        self._interceptions(provider, model, status, route, "POST", initiator_id, client).inc()
        self._duration(provider, model).observe((ending.ended_at - interception.started_at).total_seconds())
        if ending.first_byte_at is not None:
            waited = ending.first_byte_at - interception.started_at
            self._first_byte(provider).observe(waited.total_seconds())
        if interception.user_prompt is not None and not interception.user_prompt.synthetic:
            self._prompts(provider, model, initiator_id, client).inc()
        if interception.billed and not ending.reading.token_usages:
            self._no_usage(provider, model, client).inc()
        for usage in ending.reading.token_usages:
            for kind, count in counts_of(usage):
                self._tokens(provider, model, kind, initiator_id, client).inc(count)
        if spent.usd is not None:
            is_shown = self._spender(f"{model}\0{spent.user}\0{spent.groups}") != OTHER
            by = (spent.user, spent.groups) if is_shown else (OTHER, OTHER)
            self._cost(provider, model, *by).inc(float(spent.usd))
        for tool in ending.reading.tool_usages:
            self._tools(provider, model, self._tool(tool.tool)).inc()

    def exposition(self) -> tuple[str, bytes]:
        """The content type and the text of all metrics."""
        self._read_watched()
        registry = self.registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return CONTENT_TYPE_LATEST, generate_latest(registry)

    def _read_watched(self) -> None:
        for gauge, value in self._watched:
            gauge.set(value())
        for job in self._jobs:
            self._job_up.labels(job.name).set(not job.has_failed)
        self._read_circuits()

    def _read_circuits(self) -> None:
        """Show the worst state of the circuits that share a label; those that are forgotten are closed."""
        self._worst = dict.fromkeys(self._worst, 0)
        for key, state in self._circuits().items():
            labels = key.provider, key.endpoint, self._model(key.model)
            self._worst[labels] = max(self._worst.get(labels, 0), CIRCUIT_STATES.index(state))
        for labels, value in self._worst.items():
            self._circuit_state.labels(*labels).set(value)

    def _gauge(self, name: str, description: str, labels: str, *, across: str = "livesum") -> Gauge:
        return Gauge(
            PREFIX + name,
            description,
            labels.split(),
            registry=self.registry,
            multiprocess_mode=across,  # type: ignore[arg-type]
        )

    def _counter(self, name: str, description: str, labels: str) -> Callable[..., Counter]:
        return series(Counter(PREFIX + name, description, labels.split(), registry=self.registry))

    def _histogram(
        self, name: str, description: str, labels: str, buckets: tuple[float, ...]
    ) -> Callable[..., Histogram]:
        return series(Histogram(PREFIX + name, description, labels.split(), buckets=buckets, registry=self.registry))
