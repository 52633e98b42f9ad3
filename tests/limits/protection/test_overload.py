from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.limit import NOTHING, Amounts, LimitState
from limits.protection.overload import OverloadedError
from limits.request_limits import Client
from tests.limits.at_once import at_once
from tests.limits.clock import SECOND, Clock
from tests.limits.protection.overload_protection import protection

CAPACITY = "AI Bridge is currently at capacity. Please try again later."
RATE = "You've been rate limited. Please try again later."
ALL_TOKENS = "All your tokens together have reached the rate limit of your user. Please try again later."
USER = "You have too many requests in progress. Please try again when one of them has ended."
OUT_OF_TOKENS = "Your calls have used all tokens of your user for now. Please try again later."


class Rejections(list):
    def __call__(self, limit):
        self.append(limit)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rejections():
    return Rejections()


def refusal(call, *arguments):
    with pytest.raises(OverloadedError) as caught:
        at_once(call(*arguments))
    return caught.value


def count(overload, key="token", user="user", *, pays=False):
    return at_once(overload.count_request(Client(key, user, pays)))


def refused(overload, key="token", user="user"):
    return refusal(overload.count_request, Client(key, user))


def used(overload):
    """What is used of each rule, by key."""
    return {(state.limit.rule.value, state.limit.key): state.used for state in at_once(overload.authority.usage(99))}


def test_everything_is_off_by_default_and_requests_are_counted_all_the_same():
    overload = protection()
    held = [at_once(overload.acquire_slot()) for _ in range(100)]
    assert (count(overload).states, overload.holding, used(overload)) == ((), 100, {})
    for one in held:
        one.release()
        one.release()
    assert overload.holding == 0


def test_the_request_above_the_concurrency_limit_is_refused_with_503(rejections):
    overload = protection(max_concurrency=1, on_refusal=rejections)
    slot = at_once(overload.acquire_slot())
    error = refusal(overload.acquire_slot)
    assert (error.status, error.message, str(error)) == (503, CAPACITY, CAPACITY)
    assert error.headers == {"Retry-After": "1", "retry-after-ms": "1000"}
    assert (rejections, overload.holding) == (["concurrency"], 1)
    slot.release()
    at_once(overload.acquire_slot())


def test_the_request_above_the_rate_limit_is_refused_with_429_and_the_exact_wait(clock, rejections):
    overload = protection(rate_limit=1, rate_window=timedelta(seconds=10), now_ns=clock, on_refusal=rejections)
    count(overload)
    clock.advance(SECOND + 1)
    error = refused(overload)
    explained = "This token has started 1 of 1 requests in 10s; the next request may start in 9s."
    assert (error.rule, error.status, error.message) == (Rule.RATE, 429, f"{RATE} {explained}")
    assert error.headers == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "9",
        "RateLimit-Policy": '"rate";q=1;w=10',
        "RateLimit": '"rate";r=0;t=9',
        "Retry-After": "9",
        "retry-after-ms": "9000",
    }
    assert rejections == ["rate"]


def test_a_request_above_the_users_concurrency_does_not_consume_their_rate(clock, rejections):
    overload = protection(rate_limit=2, user_max_concurrency=1, now_ns=clock, on_refusal=rejections)
    count(overload)
    error = refused(overload)
    assert (error.status, error.message) == (429, f"{USER} You have 1 of 1 requests in progress.")
    assert error.headers == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": "1",
        "RateLimit-Policy": '"rate";q=2;w=1',
        "RateLimit": '"rate";r=1;t=1',
        "Retry-After": "1",
        "retry-after-ms": "1000",
    }
    assert rejections == ["user_concurrency"]
    assert used(overload) == {("user_concurrency", "user:user"): 1, ("rate", "token:token"): 1}


def test_all_tokens_of_a_user_share_the_users_rate(clock, rejections):
    overload = protection(user_rate_limit=3, now_ns=clock, on_refusal=rejections)
    for token in ("a", "b", "c"):
        count(overload, token)
    error = refused(overload, "d")
    explained = "You have started 3 of 3 requests in 1s; the next request may start in 1s."
    assert (error.status, error.message, rejections) == (429, f"{ALL_TOKENS} {explained}", ["user_rate"])
    count(overload, "a", "other user")
    assert count(overload, "203.0.113.9", None).states == ()


def test_a_user_without_tokens_is_refused_until_enough_have_left_the_window(clock, rejections):
    overload = protection(user_token_limit=1000, now_ns=clock, on_refusal=rejections)
    held = count(overload)
    clock.advance(15 * SECOND)
    held.charge(Amounts(tokens=1200))
    held.release()
    clock.advance(SECOND)
    error = refused(overload, "another token")
    explained = "You have used 1,200 of 1,000 tokens in 1m0s; the next request may start in 59s."
    assert (error.rule, error.status, error.message) == (Rule.USER_TOKENS, 429, f"{OUT_OF_TOKENS} {explained}")
    assert error.headers == {
        "RateLimit-Policy": '"user_tokens";q=1000;qu="tokens";w=60',
        "RateLimit": '"user_tokens";r=0;t=59',
        "Retry-After": "59",
        "retry-after-ms": "59000",
    }
    assert rejections == ["user_tokens"]
    clock.advance(59 * SECOND)
    assert count(overload).states[0].remaining == 1000


def test_a_user_whose_budget_is_used_up_is_refused_with_403_until_the_period_is_over(clock, rejections):
    wall = Clock()
    wall.now_ns = int(datetime(2026, 11, 30, 23, 59, tzinfo=UTC).timestamp()) * SECOND
    overload = protection(user_budget=50_000_000, now_ns=clock, wall_ns=wall, on_refusal=rejections)
    held = count(overload)
    held.charge(Amounts(micro_dollars=50_000_000))
    held.release()
    error = refused(overload)
    assert (error.rule, error.status) == (Rule.USER_BUDGET, 403)
    assert error.message == "AI budget of US$50.00 exceeded. Please contact an administrator for more details."
    assert error.headers == {
        "X-AI-Bridge-Budget-Limit": "50.00",
        "X-AI-Bridge-Budget-Remaining": "0.00",
        "X-AI-Bridge-Budget-Reset": "60",
        "x-should-retry": "false",
    }
    assert rejections == ["user_budget"]
    assert count(overload, pays=True).states == ()
    wall.advance(60 * SECOND)
    assert count(overload).states[0].used == 0


def test_what_a_call_may_use_is_held_back_from_its_body_to_its_end(clock):
    overload = protection(user_token_limit=100, user_budget=500, reserve=True, now_ns=clock)
    assert count(overload).states == ()
    client = Client("token", "user")
    held = at_once(overload.count_call(client, lambda: Amounts(60, 100)))
    assert [(state.remaining, state.reserved) for state in held.states] == [(40, 60), (400, 100)]
    error = refusal(overload.count_call, client, lambda: Amounts(60, 100))
    assert error.message.endswith("used 0 of 100 tokens in 1m0s and reserved 60; the next request may start in 1s.")
    error = refusal(overload.count_call, client, lambda: Amounts(101))
    assert error.message.endswith("; this request may need more than all of them.")
    assert "Retry-After" not in error.headers
    held.charge(Amounts(30, 50), Amounts(20, 20))
    held.release()
    at_once(overload.count_call(client, lambda: Amounts(60, 100)))


def test_what_a_call_may_use_is_not_worked_out_where_nothing_is_held_back():
    overload = protection(user_token_limit=100)
    held = at_once(overload.count_call(Client("token", "user"), lambda: pytest.fail("not needed")))
    assert held.states == ()


def test_nothing_is_charged_to_what_counts_nothing_of_the_kind(clock):
    overload = protection(rate_limit=1, user_token_limit=9, now_ns=clock)
    slot, held = at_once(overload.acquire_slot()), count(overload)
    assert (slot.charged, held.charged) == (False, True)
    slot.charge(Amounts(5))
    held.charge(Amounts(5), NOTHING)
    held.release()
    held.charge(Amounts(9))
    assert used(overload)["user_tokens", "user:user"] == 5


@given(
    limit=st.integers(1, 3),
    window=st.timedeltas(timedelta(microseconds=1), timedelta(days=2)),
    steps=st.lists(st.integers(0, 10**12), max_size=10),
)
def test_waiting_as_long_as_either_header_says_succeeds(limit, window, steps):
    clock = Clock()
    overload = protection(rate_limit=limit, rate_window=window, now_ns=clock)
    for header, unit in [("Retry-After", SECOND), ("retry-after-ms", 1_000_000)]:
        for step in [*steps, 0, 0, 0, 0]:
            clock.advance(step)
            try:
                count(overload)
            except OverloadedError as error:
                wait = int(error.headers[header])
                assert wait >= 1
                clock.advance(wait * unit)
                count(overload)


def test_what_is_used_is_told_by_limit_and_key_without_what_the_key_is_of(clock):
    overload = protection(
        max_concurrency=9, rate_limit=5, user_rate_limit=8, user_max_concurrency=7, user_token_limit=6, now_ns=clock
    )
    at_once(overload.acquire_slot())
    count(overload, "a").charge(Amounts(4))
    count(overload, "b")
    usage = at_once(overload.usage(1))
    assert usage.slots == 1
    assert [{key: state.used for key, state in of.items()} for of in usage[1:]] == [
        {"user": 2},
        {"b": 1},
        {"user": 2},
        {"user": 4},
        {},
    ]
    assert isinstance(usage.users["user"], LimitState)


def test_the_states_of_every_decision_are_told_whether_it_admits_or_refuses(clock):
    overload, result = protection(rate_limit=1, now_ns=clock), []
    overload.on_states = result.append
    count(overload)
    refused(overload)
    assert [[(state.limit.rule, state.used) for state in states] for states in result] == [[(Rule.RATE, 1)]] * 2
