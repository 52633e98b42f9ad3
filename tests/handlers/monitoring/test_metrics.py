import asyncio
import json
import selectors
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from handlers.monitoring.metrics import NAMES_KEPT, OTHER, SAMPLE_SECONDS, SPENDERS_KEPT, LoopLag, Metrics, Spent
from intercept.records import Reading, ToolUsage
from limits.protection.circuit_breaker import BreakerPolicy, CallOutcome, CircuitBreakers, CircuitKey, CircuitState
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES
from tests.limits.clock import SECOND, Clock
from tests.storage.records import ending, interception

PREFIX = "coder_aibridged_"
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def samples(metrics, name):
    """The values of a metric by its labels, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == PREFIX + name
    }


SPENT = Spent("ada", "research", Decimal("0.25"))


def called(model="m"):
    return interception(model=model, initiator_id=UUID(int=2), provider_name="azure")


def ended(*tools):
    used = tuple(ToolUsage(provider_response_id="r", provider_tool_call_id="c", tool=name, input="") for name in tools)
    return ending(reading=Reading(tool_usages=used))


def test_models_and_tools_beyond_the_number_kept_count_as_other():
    metrics = Metrics()
    for number in range(NAMES_KEPT + 3):
        call = called(f"model-{number:03}")
        metrics.started(call)
        metrics.ended(call, ended(f"tool-{number:03}"), SPENT)
    counts = samples(metrics, "non_injected_tool_selections_total")
    assert len(counts) == NAMES_KEPT + 1
    assert counts["model-199", "tool-199", "azure"] == 1
    assert counts[OTHER, OTHER, "azure"] == 3
    assert samples(metrics, "interceptions_total")["Codex", str(UUID(int=2)), "POST", OTHER, "azure", "/v1/responses", "completed"] == 3  # fmt: skip
    assert set(samples(metrics, "interceptions_inflight").values()) == {0}


def test_dollars_are_counted_by_the_names_of_people_and_groups():
    metrics = Metrics()
    for spent in (SPENT, SPENT, Spent("bob", "", None)):
        metrics.started(called())
        metrics.ended(called(), ended(), spent)
    assert samples(metrics, "cost_usd_total") == {("research", "m", "azure", "ada"): 0.5}


def test_people_beyond_the_number_kept_count_as_other():
    metrics = Metrics()
    for number in range(SPENDERS_KEPT + 2):
        metrics.started(called())
        metrics.ended(called(), ended(), Spent(f"user-{number}", "", Decimal(1)))
    found = samples(metrics, "cost_usd_total")
    assert len(found) == SPENDERS_KEPT + 1
    assert found[OTHER, "m", "azure", OTHER] == 2


def test_a_watched_value_is_read_whenever_the_metrics_are():
    metrics, values = Metrics(), iter([1.5, 2.5])
    metrics.watch("recorder_queue_length", "Waiting.", lambda: next(values))
    for value in (b"1.5", b"2.5"):
        _, text = metrics.exposition()
        assert b"\ncoder_aibridged_recorder_queue_length %s\n" % value in text


async def test_a_watched_value_is_published_for_other_processes_unasked(tmp_path):
    metrics = Metrics(tmp_path)
    metrics.watch("recorder_queue_length", "Waiting.", lambda: 3)
    publishing = asyncio.create_task(metrics.publish())
    await until(lambda: samples(metrics, "recorder_queue_length") == {(): 3})
    publishing.cancel()
    await Metrics().publish()


@pytest.mark.bridge(rate_limit=3, rate_window=timedelta(hours=1))
async def test_real_calls_are_counted_where_they_belong(running):
    metrics = running.bridge.metrics
    who = str(running.identity.user.id)
    tool = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"t","type":"function","function":{"name":"look","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}'
    running.upstream.play(OK % (len(MESSAGES.body), MESSAGES.body))
    running.upstream.play(OK % (len(tool), tool))
    running.upstream.play(OK % (2, b"{}"))
    headers = running.headers | {"User-Agent": "codex_cli_rs/0.169"}
    await running.call(MESSAGES, headers)
    await running.call(CHAT, headers)
    await running.request("GET", "/api/v2/aibridge/openai/v1/models/gpt", headers)
    for _ in range(2):
        assert (await running.request("GET", "/api/v2/aibridge/openai/v1/models", headers)).status == 429
    await running.ended(2)
    assert samples(metrics, "interceptions_total") == {
        ("Codex", who, "POST", "m", "anthropic", "/v1/messages", "completed"): 1,
        ("Codex", who, "POST", "m", "openai", "/v1/chat/completions", "completed"): 1,
    }
    assert samples(metrics, "interceptions_inflight") == {
        ("m", "anthropic", "/v1/messages"): 0,
        ("m", "openai", "/v1/chat/completions"): 0,
    }
    assert samples(metrics, "tokens_total") == {
        ("Codex", who, "m", "anthropic", kind): count
        for kind, count in (("input", 5), ("output", 2), ("cache_read_input", 4), ("cache_write_input", 3))
    }
    assert samples(metrics, "interceptions_without_usage_total") == {("Codex", "m", "openai"): 1}
    assert samples(metrics, "prompts_total") == {
        ("Codex", who, "m", "anthropic"): 1,
        ("Codex", who, "m", "openai"): 1,
    }
    assert samples(metrics, "non_injected_tool_selections_total") == {("m", "look", "openai"): 1}
    assert samples(metrics, "passthrough_total") == {("GET", "openai", "/v1/models/*"): 1}
    assert samples(metrics, "overload_rejections_total") == {("rate",): 2}
    assert samples(metrics, "relay_overhead_seconds_count") == {
        ("authentication",): 3,
        ("admission",): 3,
        ("recording",): 2,
    }
    assert samples(metrics, "upstream_head_seconds_count") == {("anthropic",): 1, ("openai",): 2}
    assert samples(metrics, "time_to_first_byte_seconds_count") == {("anthropic",): 1, ("openai",): 1}


@pytest.mark.bridge(max_concurrency=1)
async def test_a_call_under_way_is_seen_in_flight_and_the_next_one_as_refused(running):
    gate = asyncio.Event()
    running.upstream.play(OK % (2, b""), gate, b"{}")
    client, other = await running.client(), await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    response = await client.head()
    models = "/api/v2/aibridge/openai/v1/models"
    assert (await other.request("GET", models, running.headers)).status == 503
    metrics = running.bridge.metrics
    assert samples(metrics, "interceptions_inflight") == {("m", "openai", "/v1/chat/completions"): 1}
    assert samples(metrics, "overload_rejections_total") == {("concurrency",): 1}
    gate.set()
    await client.rest(response)
    await until(lambda: samples(metrics, "interceptions_inflight") == {("m", "openai", "/v1/chat/completions"): 0})


@pytest.mark.bridge(user_max_concurrency=1)
async def test_a_refusal_by_the_users_own_limit_is_counted_as_such(running):
    gate = asyncio.Event()
    running.upstream.play(OK % (2, b""), gate, b"{}")
    client, other = await running.client(), await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    response = await client.head()
    assert (await other.request("GET", "/api/v2/aibridge/openai/v1/models", running.headers)).status == 429
    assert samples(running.bridge.metrics, "overload_rejections_total") == {("user_concurrency",): 1}
    gate.set()
    await client.rest(response)


async def test_what_clients_name_is_exposed_as_text_whatever_it_is(running):
    running.upstream.play(OK % (len(CHAT.body), CHAT.body))
    for model in ('a"b\\c\nd', "\N{SNOWMAN}", "\x00\x85\u2028", "x" * 256):
        body = json.dumps(CHAT.request | {"model": model}).encode()
        assert (await running.request("POST", running.path(CHAT), running.headers, body)).status == 200
    await running.ended(4)
    response = await running.request("GET", "/metrics", {})
    assert (response.status, response.header("Content-Type")) == (200, "text/plain; version=1.0.0; charset=utf-8")
    text = response.body.decode()
    assert r'model="a\"b\\c\nd"' in text
    assert 'model="\N{SNOWMAN}"' in text
    assert running.token not in text
    assert "sk-openai" not in text


def states(metrics):
    """The states that a scrape shows, by model."""
    metrics.exposition()
    return {model: value for (_, model, _), value in samples(metrics, "circuit_breaker_state").items()}


def test_a_scrape_shows_the_present_state_of_each_known_circuit():
    metrics, clock = Metrics(), Clock()
    policy = BreakerPolicy(failure_threshold=1, timeout=timedelta(seconds=30), max_requests=1)
    breakers = CircuitBreakers(policy, clock, metrics.circuit_changed, max_circuits=2)
    metrics.watch_circuits(breakers.states)
    assert states(metrics) == {}

    def settle(model, outcome):
        breakers.admit(CircuitKey("azure", "/v1/responses", model)).settle(outcome)

    settle("a", CallOutcome.FAILURE)
    settle("b", CallOutcome.SUCCESS)
    assert states(metrics) == {"a": 2, "b": 0}
    clock.advance(30 * SECOND)
    assert states(metrics) == {"a": 1, "b": 0}
    settle("a", CallOutcome.SUCCESS)
    assert states(metrics) == {"a": 0, "b": 0}
    settle("c", CallOutcome.FAILURE)
    assert states(metrics) == {"a": 0, "b": 0, "c": 2}


def test_of_circuits_that_share_a_series_the_worst_is_shown():
    metrics = Metrics()
    circuits = {
        CircuitKey("azure", "/v1/responses", f"m{number}"): CircuitState.CLOSED for number in range(NAMES_KEPT + 2)
    }
    circuits[CircuitKey("azure", "/v1/responses", f"m{NAMES_KEPT}")] = CircuitState.OPEN
    metrics.watch_circuits(lambda: circuits)
    assert (len(states(metrics)), states(metrics)["other"]) == (NAMES_KEPT + 1, 2)


class Selector(selectors.SelectSelector):
    """Does not wait: the time until the next thing is due just passes."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0
        return super().select(0)


@pytest.fixture
def selector():
    return Selector()


@pytest.fixture
def loop(selector):
    """An event loop on that clock."""
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    yield loop
    loop.close()


def test_the_latest_sample_says_by_how_much_the_loop_was_held_up(loop, selector):
    async def hold_up():
        lag = LoopLag()
        watching = asyncio.create_task(lag.watch())
        await asyncio.sleep(0.75 * SAMPLE_SECONDS)
        samples = [lag.seconds]
        selector.now += 2
        await asyncio.sleep(0.25 * SAMPLE_SECONDS)
        samples.append(lag.seconds)
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        watching.cancel()
        return [*samples, lag.seconds]

    assert loop.run_until_complete(hold_up()) == [0, 2 - 0.25 * SAMPLE_SECONDS, 0]
