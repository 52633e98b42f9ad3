"""Portkey's gateway, from its npm package."""

from __future__ import annotations

import json
import shutil
import subprocess

from benchmarks.gateways.runners.runner import CACHE, Program, Runner, Setup, UnavailableError
from benchmarks.stand.load import Target

VERSION = "1.15.2"
# With @hono/node-server 1.14 and later, which its own range allows, it answers every stream with 500.
PINNED = {"hono": "4.9.7", "@hono/node-server": "1.13.8"}


class Portkey(Runner):
    """One process. Each request says which provider to use, and its address."""

    name = "Portkey"

    def prepare(self) -> str:
        """Install it into the cache unless it is there."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise UnavailableError("node and npm are not installed")
        folder = CACHE / f"portkey-{VERSION}"
        if not (folder / "complete").exists():
            print(f"Installing Portkey {VERSION} into {folder} ...", flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            package = {"private": True, "dependencies": {"@portkey-ai/gateway": VERSION}, "overrides": PINNED}
            (folder / "package.json").write_text(json.dumps(package))
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
            try:
                subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            except subprocess.CalledProcessError as error:
                raise UnavailableError(f"cannot be installed: {error.stderr.strip()[-300:]}") from error
            (folder / "complete").touch()
        self._command = [node, f"{folder}/node_modules/@portkey-ai/gateway/build/start-server.js", "--headless"]
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        return f"{VERSION} (node {said.strip().removeprefix('v')})"

    def program(self, setup: Setup) -> Program:
        """It has no configuration."""
        environ = {"NODE_ENV": "production", **setup.trust("NODE_EXTRA_CA_CERTS")}
        return Program([*self._command, f"--port={setup.port}"], environ)

    def target(self, setup: Setup, api: str) -> Target:
        """All settings are in headers."""
        provider = "anthropic" if api == "messages" else "openai"
        headers = {
            "x-portkey-provider": provider,
            "x-portkey-custom-host": f"{setup.upstream_url}/v1",
            "Authorization": "Bearer sk-provider",
            "x-api-key": "sk-provider",
            "anthropic-version": "2023-06-01",
        }
        return Target(setup.port, headers=headers)
