"""No gateway: clients ask the upstream itself. What is left is what the harness costs."""

from __future__ import annotations

import platform

from benchmarks.gateways.runners.runner import Place, Program, Runner, Running
from benchmarks.stand.load import Target


class Direct(Runner):
    """The upstream."""

    name = "direct"
    calls_upstream = False

    def prepare(self) -> str:
        """Nothing to install."""
        return f"Python {platform.python_version()}"

    def program(self, place: Place) -> Program:
        """Nothing to start."""
        raise NotImplementedError

    def start(self, place: Place) -> Running:
        """It runs already."""
        return Running(self, place, None)

    def target(self, place: Place, api: str) -> Target:  # noqa: ARG002
        """Where the upstream is."""
        return Target(place.upstream)
