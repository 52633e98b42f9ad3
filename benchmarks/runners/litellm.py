"""The LiteLLM proxy, without a database, in a virtual environment of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

from benchmarks.load import Target
from benchmarks.runners.runner import CACHE, Place, Program, Runner, UnavailableError

# 1.82.7, 1.82.8 and 1.107.0 were published by somebody who had stolen the project's keys: never those.
VERSION = "1.106.12"
KEY = "sk-Zq8nQ5cX2mVb7LrT4yHd9KfW1sPg6JuE"
CONFIGURATION = """
model_list:
  - model_name: "claude-*"
    litellm_params: {{model: "anthropic/claude-*", api_base: "http://127.0.0.1:{upstream}", api_key: "sk-provider"}}
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "http://127.0.0.1:{upstream}/v1", api_key: "sk-provider"}}
"""


class LiteLLM(Runner):
    """One worker, one key for all, quiet."""

    name = "LiteLLM"

    def prepare(self) -> str:
        """Install it into the cache unless it is there."""
        # One for each interpreter, so that a faster one serves both.
        folder = CACHE / f"litellm-{VERSION}-python{platform.python_version()}"
        if not (folder / "complete").exists():
            print(f"Installing LiteLLM {VERSION} into {folder} ...", flush=True)
            install = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            try:
                subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
                subprocess.run([*install, f"litellm[proxy]=={VERSION}"], check=True, capture_output=True, text=True)
            except subprocess.CalledProcessError as error:
                raise UnavailableError(f"cannot be installed: {(error.stderr or str(error)).strip()[-300:]}") from error
            (folder / "complete").touch()
        self._program = folder / "bin/litellm"
        return VERSION

    def program(self, place: Place) -> Program:
        """Write its configuration. It is told not to ask the network for prices, and to report nothing."""
        configuration = place.folder / "litellm.yaml"
        configuration.write_text(CONFIGURATION.format(upstream=place.upstream))
        address = ["--host", "127.0.0.1", "--port", str(place.port)]
        return Program(
            [self._program, "--config", configuration, *address, "--num_workers", "1", "--telemetry", "False"],
            {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        )

    def target(self, place: Place, api: str) -> Target:  # noqa: ARG002
        """It serves all APIs below the same path."""
        return Target(place.port, headers={"Authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"})
