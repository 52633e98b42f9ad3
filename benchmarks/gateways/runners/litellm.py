"""The LiteLLM proxy, without a database, in a virtual environment of its own."""

from __future__ import annotations

from benchmarks.gateways.runners.runner import Program, Runner, Setup
from benchmarks.gateways.runners.wheels import installed
from benchmarks.stand.load import Target

# 1.82.7, 1.82.8 and 1.107.0 were published by somebody who had stolen the project's keys: never those.
VERSION = "1.106.12"
KEY = "sk-Zq8nQ5cX2mVb7LrT4yHd9KfW1sPg6JuE"
CONFIGURATION = """
model_list:
  - model_name: "claude-*"
    litellm_params: {{model: "anthropic/claude-*", api_base: "{upstream}", api_key: "sk-provider"}}
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "{upstream}/v1", api_key: "sk-provider"}}
"""


class LiteLLM(Runner):
    """One worker, one key for all, quiet."""

    name = "LiteLLM"

    def prepare(self) -> str:
        """Install it into the cache unless it is there."""
        self._program = installed("litellm", VERSION, extra="proxy") / "litellm"
        return VERSION

    def program(self, setup: Setup) -> Program:
        """Write its configuration. It fetches no prices from the network, and reports nothing."""
        configuration = setup.folder / "litellm.yaml"
        configuration.write_text(CONFIGURATION.format(upstream=setup.upstream_url))
        address = ["--host", "127.0.0.1", "--port", str(setup.port)]
        return Program(
            [self._program, "--config", configuration, *address, "--num_workers", "1", "--telemetry", "False"],
            {
                "LITELLM_MASTER_KEY": KEY,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
                **setup.trust("SSL_CERT_FILE"),
            },
        )

    def target(self, setup: Setup, api: str) -> Target:  # noqa: ARG002
        """It serves all APIs below the same path."""
        return Target(setup.port, headers={"Authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"})
