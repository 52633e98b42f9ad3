from datetime import timedelta

from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of, Period
from limits.request_limits import Client, LimitSettings, RequestLimits
from tests.limits.clock import SECOND

SETTINGS = LimitSettings(
    max_concurrency=1,
    user_max_concurrency=2,
    rate_limit=3,
    user_rate_limit=4,
    rate_window=timedelta(seconds=5),
    user_token_limit=6,
    token_window=timedelta(seconds=7),
    user_budget=8,
    budget_period=Period.WEEK,
    budget_zone="Europe/Berlin",
)
ADA = Client("t", "ada")
STEP_TWO = [
    Limit(Kind.CONCURRENCY, Rule.USER_CONCURRENCY, Of.USER, "user:ada", 2),
    Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:t", 3, 5 * SECOND),
    Limit(Kind.RATE, Rule.USER_RATE, Of.USER, "user:ada", 4, 5 * SECOND),
]


def of_usage(*, reserve):
    return [
        Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:ada", 6, 7 * SECOND, reserve=reserve),
        Limit(
            *(Kind.BUDGET, Rule.USER_BUDGET, Of.USER, "user:ada", 8),
            period=Period.WEEK,
            zone="Europe/Berlin",
            reserve=reserve,
        ),
    ]


def test_what_needs_no_body_is_decided_before_it():
    limits = RequestLimits(SETTINGS)
    assert limits.of_server() == (Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", 1),)
    assert limits.of_client(ADA) == STEP_TWO + of_usage(reserve=False)
    assert limits.of_call(ADA) == []


def test_what_is_reserved_is_decided_with_the_body():
    limits = RequestLimits(
        LimitSettings(**{name: getattr(SETTINGS, name) for name in SETTINGS.__slots__} | {"reserve": True})
    )
    assert limits.of_client(ADA) == STEP_TWO
    assert limits.of_call(ADA) == of_usage(reserve=True)
    assert limits.of_call(Client("203.0.113.9")) == []


def test_an_address_has_a_rate_only():
    limits = RequestLimits(SETTINGS).of_client(Client("203.0.113.9"))
    assert limits == [Limit(Kind.RATE, Rule.RATE, Of.ADDRESS, "address:203.0.113.9", 3, 5 * SECOND)]
