"""Routes for orchestrators and Prometheus."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType

from handlers.base import BridgeHandler
from handlers.limits_state import state_of_limits
from resources.fields import doc
from resources.limits import LimitsState
from version import VERSION


class Health(Struct):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Struct):
    """Whether calls are accepted, and the problems."""

    status: Literal["ready", "not ready", "draining"]
    database: Literal["ok", "unreachable"]
    recording: Annotated[str, doc("`ok`, or the problem.")]
    providers: Annotated[
        str,
        doc(
            "`ok`, or which keys of the bridge a provider refuses, and since when, or that changes of providers are not followed."
        ),
    ]
    jobs: Annotated[str, doc("`ok`, or which background jobs failed within the last minute.")]
    version: Annotated[str, doc("Of AI Bridge, as `--version` says it.")]
    limits: Annotated[
        LimitsState | UnsetType, doc("Only where the limits are counted for several processes together.")
    ] = UNSET
    policies: Annotated[
        str | UnsetType,
        doc(
            "The time since which changes of policies are not applied, and what holds instead; absent if all are applied."
        ),
    ] = UNSET
    figures: Annotated[
        str | UnsetType, doc("How far totals, sessions and the search are behind, where that is more than a minute.")
    ] = UNSET


LATE_SECONDS = 60.0
"""More than figures are behind as a rule."""

FIGURES = "totals, sessions and the search are {:.0f} s behind; calls are recorded, and none is lost"


class HealthHandler(BridgeHandler):
    """`/healthz`: the process is alive."""

    async def get(self) -> None:
        """Always 200."""
        self.write_json(Health("ok"))


class ReadinessHandler(BridgeHandler):
    """`/readyz`: the bridge takes calls. 503 while draining, or while calls cannot be recorded or admitted."""

    async def get(self) -> None:
        """The problem, if there is one."""
        draining = self.bridge.lifecycle.draining
        database = await self.bridge.database.health.check()
        recorder = self.bridge.recorder
        cluster, workers = self.bridge.cluster, self.bridge.workers
        providers = (self.bridge.key_health.describe(), self._unfollowed)
        failed = ", ".join(self.bridge.jobs.failed)
        recording = recorder.outbox.healthy and (database or not recorder.needs_database)
        ready = recording and not draining and not (workers and workers.unavailable)
        self.set_status(200 if ready else 503)
        readiness = Readiness(
            status="draining" if draining else "ready" if ready else "not ready",
            database="ok" if database else "unreachable",
            recording="ok" if recording else recorder.outbox.trouble or "the database is unavailable",
            providers="; ".join(one for one in providers if one not in {"", "ok"}) or "ok",
            jobs=f"failed and restarted: {failed}" if failed else "ok",
            version=VERSION,
            limits=state_of_limits(cluster, workers) if cluster or workers else UNSET,
            policies=self.bridge.policies.problem or UNSET,
            figures=FIGURES.format(behind) if (behind := self.bridge.derived.behind_seconds) > LATE_SECONDS else UNSET,
        )
        self.write_json(readiness)

    @property
    def _unfollowed(self) -> str:
        """Whether this process may know other providers than the database; empty if not."""
        followed = self.bridge.followed
        if followed.value is None:
            return "those in the database are not known yet"
        if followed.behind_since is None:
            return ""
        return "those in the database are not followed at the moment; what is known of them stays"


class MetricsHandler(BridgeHandler):
    """`/metrics`: Prometheus text format."""

    async def get(self) -> None:
        """Expose every metric."""
        content_type, body = self.bridge.metrics.exposition()
        self.set_header("Content-Type", content_type)
        self.write(body)
