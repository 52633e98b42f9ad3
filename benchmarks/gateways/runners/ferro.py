"""The gateway of Ferro Labs, which is written in Go: without a log, and with its own."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.gateways.runners.runner import Program, Runner, Setup
from benchmarks.gateways.runners.wheels import installed
from benchmarks.stand.load import LoadTarget

VERSION = "1.5.10"
KEY = "fgw_4f6c1e0b9a7d4d3f8e2c5b6a79081726"
# It counts a client that leaves a Responses stream as a failure of the provider, and a breaker that is open is open for
# everybody: so its threshold is out of reach.
CONFIGURATION = """
strategy: {mode: fallback}
targets:
  - virtual_key: openai
    models: [gpt-4o]
    circuit_breaker: {failure_threshold: 1000000000, timeout: 30s}
"""
# A line at each stage, as its documentation wants it.
LOGGER = """
plugins:
  - &logger
    {name: request-logger, type: logging, stage: before_request, enabled: true, config: {level: error, persist: true}}
  - {<<: *logger, stage: after_request}
  - {<<: *logger, stage: on_error}
"""
# Without these SQLite syncs its file after every line.
PRAGMAS = "_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)"


class Ferro(Runner):
    """One provider, one key for all, a circuit breaker that is checked and never opens."""

    name = "Ferro"
    apis = frozenset({"chat"})
    configuration = CONFIGURATION

    def prepare(self) -> str:
        """Install it into the cache unless it is there."""
        self._program = installed("ferrogw", VERSION) / "ferrogw"
        return VERSION

    def program(self, setup: Setup) -> Program:
        """Write its configuration. It listens on all addresses; there is no setting for that."""
        configuration = setup.folder / "ferro.yaml"
        configuration.write_text(self.configuration)
        environ = {
            "GATEWAY_CONFIG": str(configuration),
            "PORT": str(setup.port),
            "MASTER_KEY": KEY,
            "LOG_LEVEL": "error",
            # Of one address; so high that nothing is refused.
            "RATE_LIMIT_RPS": "1000000",
            "RATE_LIMIT_BURST": "1000000",
            "OPENAI_API_KEY": "sk-provider",
            "OPENAI_BASE_URL": setup.upstream_url,
            **self.log_settings(setup),
        }
        return Program([self._program, "serve"], environ)

    def log_settings(self, setup: Setup) -> Mapping[str, str]:  # noqa: ARG002
        """The settings of its log."""
        return {}

    def target(self, setup: Setup, api: str) -> LoadTarget:  # noqa: ARG002
        """All APIs are below the same path."""
        return LoadTarget(setup.port, headers={"Authorization": f"Bearer {KEY}"})


class FerroWithLog(Ferro):
    """Ferro with its log of requests in SQLite."""

    name = "Ferro, with its log"
    configuration = CONFIGURATION + LOGGER

    def log_settings(self, setup: Setup) -> Mapping[str, str]:
        """A file in the folder of this start."""
        return {
            "REQUEST_LOG_STORE_BACKEND": "sqlite",
            "REQUEST_LOG_STORE_DSN": f"file:{setup.folder}/requests.db?{PRAGMAS}",
        }
