"""What calls cost and use, by the names of people and groups."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from handlers.operation.metric_names import OTHER
from handlers.operation.metrics import Metrics, Spent
from handlers.operation.spending_metrics import SPENDERS_KEPT
from intercept.records import Reading, TokenUsage
from tests.handlers.operation.test_metrics import SPENT, ending, interception, samples


def test_dollars_and_tokens_are_counted_by_the_names_of_people_and_groups():
    metrics = Metrics()
    usage = TokenUsage(provider_response_id="r", input_tokens=3, output_tokens=5, cache_read_input_tokens=0)
    for spent in (SPENT, SPENT, Spent("bob", "", None)):
        metrics.started(interception())
        metrics.ended(interception(), replace(ending(), reading=Reading(token_usages=(usage,))), spent)
    assert samples(metrics, "cost_usd_total") == {("research", "m", "azure", "ada"): 0.5}
    assert samples(metrics, "spent_tokens_total") == {
        ("research", "m", "input", "ada"): 6,
        ("research", "m", "output", "ada"): 10,
        ("research", "m", "cache_read_input", "ada"): 0,
        ("", "m", "input", "bob"): 3,
        ("", "m", "output", "bob"): 5,
        ("", "m", "cache_read_input", "bob"): 0,
    }


def test_people_beyond_the_number_kept_count_as_other():
    metrics = Metrics()
    for number in range(SPENDERS_KEPT + 2):
        metrics.started(interception())
        metrics.ended(interception(), ending(), Spent(f"user-{number}", "", Decimal(1)))
    found = samples(metrics, "cost_usd_total")
    assert len(found) == SPENDERS_KEPT + 1
    assert found[OTHER, "m", "azure", OTHER] == 2
