"""What orchestrators, Prometheus and tools ask, without a token."""

from __future__ import annotations

from typing import Any

from handlers.openapi.methods import get
from handlers.openapi.operations import JSON, Described, body, header, header_parameter, json_response, response
from resources.probes import Health, Readiness

IF_NONE_MATCH = header_parameter("If-None-Match", str, "The `Etag` of an earlier response.")
UNCHANGED = {"304": {"description": "Not changed since the response with this `Etag`."}}


_METRIC = 'coder_aibridged_interceptions_inflight{model="gpt-5",provider="openai",route="/v1/responses"} 1.0\n'

PATHS: dict[str, Described] = {
    "/healthz": get(
        "getHealth",
        "Whether the process is alive",
        "For liveness probes.",
        public=True,
        responses={"200": json_response("It is.", Health)},
    ),
    "/readyz": get(
        "getReadiness",
        "Whether calls are accepted",
        "For readiness probes and load balancers.",
        public=True,
        responses={
            "200": json_response("They are.", Readiness),
            "503": json_response("The server is stopping, or calls cannot be recorded.", Readiness),
        },
    ),
    "/metrics": get(
        "getMetrics",
        "Every metric",
        "For Prometheus, in its text format. Names users' ids, models and tools.",
        public=True,
        responses={"200": response("All of them.", {"text/plain": body(metric=_METRIC)})},
    ),
    "/openapi.json": get(
        "getDescription",
        "This description",
        "The description of all routes.",
        public=True,
        parameters=(IF_NONE_MATCH,),
        responses={
            "200": response(
                "OpenAPI 3.1.",
                {JSON: {"schema": dict[str, Any]}},
                {"Etag": header(str, "Changes with the description.", '"5e0d1f2b3c4a5968"')},
            ),
        }
        | UNCHANGED,
    ),
}
