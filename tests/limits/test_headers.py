from limits.headers import dollars, duration, explain, limit_headers, retry_headers
from limits.limit import NEVER_NS, LimitState
from tests.cases import for_each
from tests.limits.clock import SECOND
from tests.limits.test_limiter import budget, rate, slots, tokens

MINUTE = 60 * SECOND
RATE = LimitState(rate(100, window_ns=MINUTE), 40, 60, 0, 30 * SECOND)
TOKENS = LimitState(tokens(1000, window_ns=90 * SECOND), 300, 700, 0, 80 * SECOND + 1)
BUDGET = LimitState(budget(50_000_000), 48_900, 49_951_100, 0, 90 * MINUTE + 1)
OTHER = (LimitState(slots(1), 1, 0, SECOND, 0),)


def test_the_rate_with_the_fewest_requests_left_is_told():
    looser = LimitState(rate(70), 1, 61, 0, SECOND)
    assert limit_headers([*OTHER, looser, RATE]) == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "60",
        "X-RateLimit-Reset": "30",
    }


def test_the_budget_with_the_least_money_left_is_told_in_dollars():
    larger = LimitState(budget(9_000_000_000), 0, 9_000_000_000, 0, SECOND)
    assert limit_headers([larger, BUDGET, TOKENS]) == {
        "X-AI-Bridge-Budget-Limit": "50.00",
        "X-AI-Bridge-Budget-Remaining": "49.9511",
        "X-AI-Bridge-Budget-Reset": "5401",
    }


def test_a_budget_of_which_the_end_of_the_period_is_unknown_is_told_without_it():
    unknown = LimitState(budget(1_234_000_000), 0, 1_234_000_000, 0, 0)
    assert limit_headers([unknown]) == {
        "X-AI-Bridge-Budget-Limit": "1234.00",
        "X-AI-Bridge-Budget-Remaining": "1234.00",
    }


@for_each(
    ("wait", "headers"),
    (1, {"Retry-After": "1", "retry-after-ms": "1"}),
    (MINUTE, {"Retry-After": "60", "retry-after-ms": "60000"}),
    (MINUTE + 1, {"Retry-After": "61", "retry-after-ms": "60001", "x-should-retry": "false"}),
    (NEVER_NS, {"x-should-retry": "false"}),
)
def test_a_wait_is_told_in_two_units_and_one_that_is_too_long_as_final(wait, headers):
    assert retry_headers(wait) == headers


@for_each(
    ("nanoseconds", "text"),
    (0, "0s"),
    (1, "1ms"),
    (999_000_001, "1s"),
    (450_000_000, "450ms"),
    (1_500_000_000, "1.5s"),
    (6 * MINUTE, "6m0s"),
    (60 * MINUTE + 1_250_000_000, "1h0m1.25s"),
    (100 * 60 * MINUTE, "100h0m0s"),
)
def test_durations_are_written_as_providers_write_them(nanoseconds, text):
    assert duration(nanoseconds) == text


@for_each(
    ("micro_dollars", "text"),
    (0, "0.00"),
    (50_000_000, "50.00"),
    (1_234_500_000, "1,234.50"),
    (1, "0.000001"),
    (10_300, "0.0103"),
)
def test_money_is_told_in_cents_and_finer_where_it_is(micro_dollars, text):
    assert dollars(micro_dollars) == text


@for_each(
    ("state", "wait", "text"),
    (LimitState(slots(2), 2, 0, SECOND, 0), SECOND, "The server has 2 of 2 requests in progress."),
    (
        LimitState(rate(1200), 1200, 0, SECOND, SECOND),
        SECOND,
        "This token has started 1,200 of 1,200 requests in 10s; the next request may start in 1s.",
    ),
)
def test_a_refusal_says_whose_limit_it_is_how_much_is_used_and_how_long_to_wait(state, wait, text):
    assert explain(state, wait) == text
