"""No gateway: clients call the upstream directly. This is the cost of the harness alone."""

from __future__ import annotations

import platform

from benchmarks.gateways.runners.runner import Program, Runner, Running, Setup
from benchmarks.stand.load import LoadTarget


class Direct(Runner):
    """The upstream."""

    name = "direct"

    def prepare(self) -> str:
        """Nothing to install."""
        return f"Python {platform.python_version()}"

    def program(self, setup: Setup) -> Program:
        """Nothing to start."""
        raise NotImplementedError

    def start(self, setup: Setup) -> Running:
        """It runs already."""
        return Running(self, setup, None)

    def target(self, setup: Setup, api: str) -> LoadTarget:  # noqa: ARG002
        """The address of the upstream."""
        return LoadTarget(setup.upstream)
