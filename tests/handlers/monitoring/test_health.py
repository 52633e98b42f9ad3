import json
from datetime import timedelta
from types import SimpleNamespace

import pytest

from handlers.dataplane.call import NOT_RECORDABLE
from handlers.limits_state import scope_of_limits, state_of_limits
from limits.authority import LocalAuthority
from settings import RecordPolicy
from storage.mongo import database
from tests.bridge import until
from tests.cases import for_each
from tests.handlers.conversations import CHAT
from tests.mongodb.database_timeouts import BOUNDS
from version import VERSION

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_bridge_says_without_a_token_whether_it_is_alive_ready_and_how_it_fares(running):
    # a bridge that takes calls is ready and says so without a token
    assert await running.get("/readyz", {}) == (
        200,
        {"status": "ready", "database": "ok", "recording": "ok", "providers": "ok", "jobs": "ok", "version": VERSION},
    )
    # figures that are behind are told, and do not make it unready
    running.bridge.derived.counted_until = running.bridge.now() - timedelta(seconds=90)
    status, readiness = await running.get("/readyz", {})
    late = "totals, sessions and the search are 90 s behind; calls are recorded, and none is lost"
    assert (status, readiness["figures"]) == (200, late)
    running.bridge.derived.counted_until = None
    await running.afresh()
    # the metrics are shown without a token
    response = await running.request("GET", "/metrics", {})
    assert (response.status, response.body) == (200, running.bridge.metrics.exposition()[1])
    await running.afresh()
    # a probe may ask for the head alone
    for path in ("/healthz", "/readyz", "/metrics"):
        whole = await running.request("GET", path, {})
        head = await running.request("HEAD", path, {})
        assert head.status == 200, path
        assert head.header("Content-Length") == str(len(whole.body)), path
        assert (await running.request("GET", "/healthz", {})).body == b'{"status":"ok"}', path
    await running.afresh()
    # a draining bridge is not ready, and has nothing to wait for where nobody has called
    assert await running.bridge.lifecycle.drain(60) == 0
    assert await running.get("/readyz", {}) == (
        503,
        {
            "status": "draining",
            "database": "ok",
            "recording": "ok",
            "providers": "ok",
            "jobs": "ok",
            "version": VERSION,
        },
    )
    await running.afresh()
    # a process that answers is alive whatever else is wrong
    running.bridge.lifecycle.draining = True
    assert await running.get("/healthz", {}) == (200, {"status": "ok"})


class TestWithoutTheDatabase:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    @pytest.fixture
    def freeze(self, running, private_mongodb, monkeypatch):
        """Freeze it until the end of the test, and let nobody wait long for a database that cannot answer."""

        def freeze():
            private_mongodb.freeze()
            for module, name in [*BOUNDS, (database, "SLACK_SECONDS")]:
                monkeypatch.setattr(module, name, 0.1)

        yield freeze
        private_mongodb.thaw()

    @pytest.mark.expects_log("WARNING storage.mongo.health: the database is unavailable: ")
    @pytest.mark.expects_log("WARNING storage.recording.outbox.writer: records wait")
    @pytest.mark.bridge(record_policy=RecordPolicy.STRICT)
    async def test_where_calls_need_it_they_are_refused_and_the_bridge_is_not_ready(self, running, freeze, log_watch):
        running.upstream.play(OK)
        assert (await running.call(CHAT)).status == 200
        freeze()
        not_ready = {
            "status": "not ready",
            "database": "unreachable",
            "recording": "the database is unavailable",
            "providers": "ok",
            "jobs": "ok",
            "version": VERSION,
        }
        assert await running.get("/readyz", {}) == (503, not_ready)
        refusal = await running.call(CHAT)
        assert (refusal.status, json.loads(refusal.body)["message"]) == (503, NOT_RECORDABLE)
        assert refusal.header("Retry-After") == "1"
        assert len(running.upstream.requests) == 1
        assert await running.get("/readyz", {}) == (503, not_ready)
        await until(lambda: log_watch.has("health: the database is unavailable"))

    @pytest.mark.expects_log("WARNING storage.mongo.health: the database is unavailable: ")
    @pytest.mark.expects_log("WARNING storage.recording.outbox.writer: records wait")
    async def test_calls_go_on_and_the_bridge_stays_ready(self, running, freeze, log_watch):
        running.upstream.play(OK)
        assert (await running.call(CHAT)).status == 200
        freeze()
        assert (await running.call(CHAT)).status == 200
        await until(lambda: running.bridge.recorder.outbox.trouble == "the database is unavailable")
        assert (await running.call(CHAT)).status == 200
        ready = {
            "status": "ready",
            "database": "unreachable",
            "recording": "ok",
            "providers": "ok",
            "jobs": "ok",
            "version": VERSION,
        }
        for _ in range(2):
            assert await running.get("/readyz", {}) == (200, ready)
        await until(lambda: log_watch.has("health: the database is unavailable"))


def authority(*, unavailable):
    made = LocalAuthority()
    made.unavailable = unavailable
    return made


def workers(scope, *, unavailable=False, database_unavailable=False):
    return SimpleNamespace(scope=scope, unavailable=unavailable, database_unavailable=database_unavailable)


NO_DATABASE = "process-local: the database is unavailable"
NO_SUPERVISOR = "unavailable: the supervisor does not answer"


@for_each(
    ("cluster", "supervisor", "scope", "state"),
    (None, None, "process", "ok"),
    (authority(unavailable=False), None, "cluster", "ok"),
    (authority(unavailable=True), None, "cluster", NO_DATABASE),
    (None, workers("server"), "server", "ok"),
    (None, workers("cluster"), "cluster", "ok"),
    (None, workers("server", unavailable=True), "server", NO_SUPERVISOR),
    (None, workers("cluster", database_unavailable=True), "cluster", "server-local: the database is unavailable"),
    (None, workers("cluster", unavailable=True, database_unavailable=True), "cluster", NO_SUPERVISOR),
)
def test_who_counts_is_told_and_whether_it_decides_alone(cluster, supervisor, scope, state):
    assert (scope_of_limits(cluster, supervisor), state_of_limits(cluster, supervisor)) == (scope, state)
