"""Faults: real processes are killed and frozen under load, and afterwards the records are audited.

They take minutes. A run of everything leaves out what is marked `faults`; `make faults` runs it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.mongo.database import Database
from tests.faults.audit import COMPLETED, Audit, Records
from tests.faults.deployment import Deployment
from tests.faults.load import Load, Provider
from tests.mongodb.memory import data_folder
from tests.storage.outages import PrivateMongoDB

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config):
    config.addinivalue_line("markers", "server(environ...): settings of this test's server that are not the defaults")
    config.addinivalue_line("markers", "server_says(pattern...): warnings that the servers of this test may log")
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter, config):
    if figures := config.stash[FIGURES]:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture
def provider(io_loop):
    provider = io_loop.run_sync(Provider().start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture
def mongod(io_loop, tmp_path):
    with data_folder(tmp_path / "mongod") as folder:
        mongod = PrivateMongoDB(folder)
        io_loop.run_sync(mongod.start)
        yield mongod
        io_loop.run_sync(mongod.kill)


@pytest.fixture
def records(mongod):
    records = Records(mongod.uri)
    yield records
    records.close()


@pytest.fixture
def token(io_loop, mongod):
    async def create():
        database = Database.connect(mongod.uri, "aibridge")
        identities = Identities(database, now=lambda: datetime.now(UTC), monotonic=time.monotonic)
        await identities.add_user("ada", role=Role.OWNER)
        _, token = await identities.create_token("ada")
        database.close()
        return token

    return io_loop.run_sync(create)


@pytest.fixture
def deployment(io_loop, request, tmp_path, mongod, provider):
    """Where the servers of this test run. They are ended with it, and what they logged is checked."""
    environ = {name: value for mark in request.node.iter_markers("server") for name, value in mark.kwargs.items()}
    deployment = Deployment(tmp_path / "data", mongod.uri, provider.url, **environ)
    yield deployment
    io_loop.run_sync(deployment.stop)
    expected = [pattern for mark in request.node.iter_markers("server_says") for pattern in mark.args]
    if complaints := deployment.complaints(expected):
        pytest.fail("the servers said:\n" + "\n".join(complaints), pytrace=False)


@pytest.fixture
def tell(request):
    """Takes what a test measured; it is shown at the end of the run."""
    result = request.config.stash[FIGURES]
    return lambda text: result.append(f"{request.node.name}: {text}")


@dataclass
class Scenario:
    """Clients call a deployment, which asks the provider and leaves records; `tell` is for what a test measured."""

    provider: Provider
    deployment: Deployment
    load: Load
    records: Records
    tell: Callable[[str], None]

    async def audit(self, *, may_end_as: frozenset[str] = COMPLETED) -> Audit:
        """Hold the records against the load, see `Records.audit`; tell how many calls there were."""
        audit = await self.records.audit(self.load, self.provider, may_end_as=may_end_as)
        calls = f"{len(self.load.seen)} calls, {len(self.load.begun)} began"
        found = f"{len(audit.lost)} lost, {len(audit.doubled)} doubled, ended: {self.records.end_reasons()}"
        self.tell(f"{calls}, longest wait {self.load.longest_wait:.2f} s; {found}")
        return audit


@pytest.fixture
def scenario(provider, deployment, token, records, tell):
    return Scenario(
        provider=provider,
        deployment=deployment,
        load=Load(deployment, token),
        records=records,
        tell=tell,
    )
