"""Whether the process is alive, and whether it takes calls."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from resources.limits import LimitsState


class Health(Struct):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Struct):
    """Whether calls are accepted, and the problems."""

    status: Literal["ready", "not ready", "draining"]
    database: Literal["ok", "unreachable"]
    recording: Annotated[str, Meta(description="`ok`, or the problem.")]
    providers: Annotated[
        str,
        Meta(
            description="`ok`, or which keys of the bridge a provider refuses, and since when, or that changes of providers are not followed."
        ),
    ]
    jobs: Annotated[str, Meta(description="`ok`, or which background jobs failed within the last minute.")]
    version: Annotated[str, Meta(description="Of AI Bridge, as `python server.py --version` says it.")]
    limits: Annotated[
        LimitsState | UnsetType, Meta(description="Only where the limits are counted for several processes together.")
    ] = UNSET
    policies: Annotated[
        str | UnsetType,
        Meta(
            description="The time since which changes of policies are not applied, and what holds instead; absent if all are applied."
        ),
    ] = UNSET
