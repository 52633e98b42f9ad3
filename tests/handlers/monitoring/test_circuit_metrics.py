"""The states of circuits in metrics."""

from __future__ import annotations

from datetime import timedelta

from handlers.monitoring.metrics import NAMES_KEPT, Metrics
from limits.protection.circuit_breaker import BreakerPolicy, CircuitBreakers, CircuitKey, CircuitState, Outcome
from tests.handlers.monitoring.test_metrics import samples
from tests.limits.clock import SECOND, Clock


def states(metrics):
    """The states that a scrape shows, by model."""
    metrics.exposition()
    return {model: value for (_, model, _), value in samples(metrics, "circuit_breaker_state").items()}


def test_a_scrape_shows_the_present_state_of_each_known_circuit():
    metrics, clock = Metrics(), Clock()
    policy = BreakerPolicy(failure_threshold=1, timeout=timedelta(seconds=30), max_requests=1)
    breakers = CircuitBreakers(policy, clock, metrics.circuits.changed, max_circuits=2)
    metrics.circuits.watch(breakers.states)
    assert states(metrics) == {}

    def settle(model, outcome):
        breakers.admit(CircuitKey("azure", "/v1/responses", model)).settle(outcome)

    settle("a", Outcome.FAILURE)
    settle("b", Outcome.SUCCESS)
    assert states(metrics) == {"a": 2, "b": 0}
    clock.advance(30 * SECOND)
    assert states(metrics) == {"a": 1, "b": 0}
    settle("a", Outcome.SUCCESS)
    assert states(metrics) == {"a": 0, "b": 0}
    settle("c", Outcome.FAILURE)
    assert states(metrics) == {"a": 0, "c": 2}


def test_of_circuits_that_share_a_series_the_worst_is_shown():
    metrics = Metrics()
    circuits = {
        CircuitKey("azure", "/v1/responses", f"m{number}"): CircuitState.CLOSED for number in range(NAMES_KEPT + 2)
    }
    circuits[CircuitKey("azure", "/v1/responses", f"m{NAMES_KEPT}")] = CircuitState.OPEN
    metrics.circuits.watch(lambda: circuits)
    assert (len(states(metrics)), states(metrics)["other"]) == (NAMES_KEPT + 1, 2)
