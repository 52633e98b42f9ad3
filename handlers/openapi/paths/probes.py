"""What orchestrators, Prometheus and tools ask, without a token."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.openapi.operations import JSON, Described, answer, body, get, header, header_parameter

TAG = "operation"
IF_NONE_MATCH = header_parameter("If-None-Match", str, "The `Etag` of an answer that is still there.")


class Health(Struct):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Struct):
    """Whether calls are taken, and what stands in the way."""

    status: Literal["ready", "not ready", "draining"]
    database: Literal["ok", "unreachable"]
    recording: Annotated[str, Meta(description="`ok`, or what is wrong.")]
    providers: Annotated[str, Meta(description="`ok`, or which keys of the bridge a provider refuses, and since when.")]
    jobs: Annotated[str, Meta(description="`ok`, or which background jobs failed within the last minute.")]
    version: Annotated[str, Meta(description="Of AI Bridge, as `python server.py --version` says it.")]
    limits: Annotated[
        Literal["ok", "process-local: the database is away"] | UnsetType,
        Meta(description="Only while the limits are counted for all processes together."),
    ] = UNSET


_READY = Readiness("ready", "ok", "ok", "ok", "ok", "0.1.0")
_NOT_READY = Readiness("not ready", "unreachable", "the database is away", "ok", "ok", "0.1.0")
_METRIC = 'coder_aibridged_interceptions_inflight{model="gpt-5",provider="openai",route="/v1/responses"} 1.0\n'

PATHS: dict[str, Described] = {
    "/healthz": get(
        "getHealth",
        "Whether the process is alive",
        "For liveness probes.",
        tag=TAG,
        public=True,
        answers={"200": answer("It is.", {JSON: body(Health, alive=Health("ok"))})},
    ),
    "/readyz": get(
        "getReadiness",
        "Whether calls are taken",
        "For readiness probes and load balancers.",
        tag=TAG,
        public=True,
        answers={
            "200": answer("They are.", {JSON: body(Readiness, ready=_READY)}),
            "503": answer(
                "The server is stopping, or calls cannot be recorded.", {JSON: body(Readiness, away=_NOT_READY)}
            ),
        },
    ),
    "/metrics": get(
        "getMetrics",
        "Every metric",
        "For Prometheus, in its text format. Names users' ids, models and tools.",
        tag=TAG,
        public=True,
        answers={"200": answer("All of them.", {"text/plain": body(str, metric=_METRIC)})},
    ),
    "/openapi.json": get(
        "getDescription",
        "This description",
        "Of everything that is served.",
        tag=TAG,
        public=True,
        parameters=(IF_NONE_MATCH,),
        answers={
            "200": answer(
                "OpenAPI 3.1.",
                {JSON: {"schema": dict[str, Any]}},
                {"Etag": header(str, "Changes with the description.", '"5e0d1f2b3c4a5968"')},
            ),
            "304": {"description": "It has not changed since the answer with the `Etag` that `If-None-Match` names."},
        },
    ),
}
