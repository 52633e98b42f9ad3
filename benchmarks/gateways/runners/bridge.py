"""AI Bridge as an operator runs it: every call recorded in a MongoDB, every limit on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from runpy import run_path
from typing import Any

from pymongo import MongoClient

from benchmarks.gateways.runners.runner import Program, Runner, Setup, UnavailableError
from benchmarks.stand.load import LoadTarget
from storage.mongo.embedded import EmbeddedMongoDB, EmbeddedUnavailableError
from storage.mongo.indexes import BY_COMBINATION
from version import VERSION

ROOT = Path(__file__).parents[3]
# High enough to refuse nothing: what is measured is being asked.
LIMITS = {
    "MAX_CONCURRENCY": "9000",
    "USER_MAX_CONCURRENCY": "8000",
    "RATE_LIMIT": "10000",
    "RATE_WINDOW": "1s",
    "CIRCUIT_BREAKER_ENABLED": "true",
}


STARTS = count(1)
"""Numbers the starts of all bridges, as they share a MongoDB."""


class BridgeRunner(Runner):
    """This server. The database runs beside it, and has a new name for each start."""

    name = "AI Bridge"
    folder = ROOT
    """Where it runs it."""
    settings: Mapping[str, str] = {}
    """What is set besides."""

    def __init__(self, mongodb: EmbeddedMongoDB | None) -> None:
        self._mongodb = mongodb

    def prepare(self) -> str:
        """It needs no installation."""
        if self._mongodb is None:
            raise UnavailableError("there is no MongoDB: see the README")
        self.database = self._mongodb.pid
        return VERSION

    def program(self, setup: Setup) -> Program:
        """Make a user and a token."""
        assert self._mongodb is not None
        self._name = f"benchmark-{next(STARTS)}"
        settings = {
            **LIMITS,
            "HTTP_ADDRESS": f"127.0.0.1:{setup.port}",
            "DATA_DIR": str(setup.folder / "data"),
            "MONGODB_URI": self._mongodb.uri,
            "MONGODB_DATABASE": self._name,
            "OPENAI_BASE_URL": f"{setup.upstream_url}/v1/",
            "OPENAI_KEY": "sk-provider",
            "ANTHROPIC_BASE_URL": f"{setup.upstream_url}/",
            "ANTHROPIC_KEY": "sk-provider",
            **self.settings,
        }
        environ = {f"AIBRIDGE_{name}": value for name, value in settings.items()}
        server = [sys.executable, "server.py"]
        for words in (["users", "add", "bench", "--role", "owner"], ["tokens", "create", "bench"]):
            created = subprocess.run(
                [*server, *words], cwd=self.folder, env=environ, check=True, capture_output=True, text=True
            )
        self._token = created.stdout.split()[-1]
        return Program(server, environ, self.folder)

    def at_rest(self) -> bool:
        """Whether every call has ended, is counted and has its session."""
        assert self._mongodb is not None
        with MongoClient[dict[str, Any]](self._mongodb.uri) as client:
            database = client[self._name]
            if database.interceptions.find_one({"status": "in_flight"}, hint=list(BY_COMBINATION)) is not None:
                return False
            days = database.rollups.find({"level": "everyone", "bucket": "day"}, {"interceptions": True})
            counted: int = sum(day["interceptions"] for day in days)
            return counted == database.interceptions.estimated_document_count()

    def target(self, setup: Setup, api: str) -> LoadTarget:
        """Below the provider of the API."""
        provider = "anthropic" if api == "messages" else "openai"
        headers = {"Authorization": f"Bearer {self._token}", "anthropic-version": "2023-06-01"}
        return LoadTarget(setup.port, f"/api/v2/aibridge/{provider}/v1", headers)


class BridgeBeside(BridgeRunner):
    """The server of another checkout. It runs with this interpreter and its packages."""

    def __init__(self, mongodb: EmbeddedMongoDB | None, folder: Path) -> None:
        super().__init__(mongodb)
        self.folder = folder.resolve()
        self.name = f"{BridgeRunner.name} in {self.folder}"

    def prepare(self) -> str:
        """Nothing is installed for it. The version is that of the checkout."""
        try:
            version: str = run_path(str(self.folder / "version.py"))["VERSION"]
        except FileNotFoundError:
            raise UnavailableError("there is no version.py: it is no checkout") from None
        super().prepare()
        return version


class BridgeInScope(BridgeRunner):
    """The server with one `limits-scope`."""

    def __init__(self, mongodb: EmbeddedMongoDB | None, scope: str, workers: int) -> None:
        super().__init__(mongodb)
        self.name = f"{scope}, workers {workers}"
        self.settings = {"LIMITS_SCOPE": scope, "WORKERS": str(workers)}

    @classmethod
    def every(cls, mongodb: EmbeddedMongoDB | None) -> Sequence[BridgeInScope]:
        """Each scope, with one worker where it needs no more and with two."""
        scopes = (("process", 1), ("cluster", 1), ("process", 2), ("server", 2), ("cluster", 2))
        return [cls(mongodb, scope, workers) for scope, workers in scopes]


@contextmanager
def embedded_mongodb(folder: Path) -> Iterator[EmbeddedMongoDB | None]:
    """A MongoDB on the cores of this process, until the end of the block; None if it cannot be started."""
    with asyncio.Runner() as runner:
        try:
            mongodb = runner.run(EmbeddedMongoDB.start(folder))
        except EmbeddedUnavailableError:
            yield None
            return
        try:
            yield mongodb
        finally:
            runner.run(mongodb.stop())
