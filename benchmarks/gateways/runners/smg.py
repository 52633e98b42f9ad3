"""The Shepherd Model Gateway, which is written in Rust."""

from __future__ import annotations

from benchmarks.gateways.runners.runner import Program, Runner, Setup, free_port
from benchmarks.gateways.runners.wheels import installed
from benchmarks.stand.load import LoadTarget

VERSION = "1.13.0"
KEY = "sk-provider"
"""The key that clients send and the provider expects: it has one for both."""


class SMG(Runner):
    """A router in front of one provider that speaks OpenAI's APIs; no history, no retries."""

    name = "SMG"
    apis = frozenset({"chat"})

    def prepare(self) -> str:
        """Install it into the cache unless it is there."""
        self._program = installed("smg", VERSION) / "smg"
        return VERSION

    def program(self, setup: Setup) -> Program:
        """All settings are flags."""
        flags = {
            "--backend": "openai",
            "--worker-urls": setup.upstream_url,
            "--host": "127.0.0.1",
            "--port": setup.port,
            "--prometheus-host": "127.0.0.1",
            "--prometheus-port": free_port(),
            # By default it indexes every prompt, to choose among servers that keep them in memory.
            "--policy": "round_robin",
            "--log-level": "error",
            "--history-backend": "none",
            "--max-concurrent-requests": 16000,
            "--api-key": KEY,
        }
        words = [str(word) for flag in flags.items() for word in flag]
        # It would ask the provider for its load, which only inference servers know.
        switches = ["--disable-retries", "--disable-load-monitoring"]
        return Program([self._program, "launch", *words, *switches])

    def target(self, setup: Setup, api: str) -> LoadTarget:  # noqa: ARG002
        """All APIs are below the same path."""
        return LoadTarget(setup.port, headers={"Authorization": f"Bearer {KEY}"})
