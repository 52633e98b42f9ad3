"""Whether the process is alive, and whether it takes calls."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType

from resources.fields import doc
from resources.limits import LimitsState


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
