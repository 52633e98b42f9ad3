import asyncio
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.overload import OverloadedError, OverloadProtection
from tests.limits.at_once import at_once
from tests.limits.clock import SECOND, Clock

CAPACITY = "AI Bridge is currently at capacity. Please try again later."
RATE = "You've been rate limited. Please try again later."
USER = "You have too many requests in progress. Please try again when one of them has ended."


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


def test_everything_is_off_by_default_and_slots_are_counted_all_the_same():
    overload = OverloadProtection()
    for _ in range(100):
        at_once(overload.take_slot())
        slots, headers = at_once(overload.count_request("token", "user"))
        assert (len(slots), headers) == (1, {})
    assert overload.slots.in_use() == 100
    assert overload.user_slots.in_use("user") == 100


def test_without_a_user_no_slot_is_taken_for_one():
    overload = OverloadProtection(user_max_concurrency=1)
    assert at_once(overload.count_request("203.0.113.9")) == ((), {})


def test_the_request_above_the_concurrency_limit_is_refused_with_503(rejections):
    overload = OverloadProtection(max_concurrency=1, on_rejection=rejections)
    (slot,) = at_once(overload.take_slot())
    error = refusal(overload.take_slot)
    assert (error.status, error.message, str(error)) == (503, CAPACITY, CAPACITY)
    assert error.headers == {"Retry-After": "1", "retry-after-ms": "1000"}
    assert rejections == ["concurrency"]
    slot.release()
    at_once(overload.take_slot())


def test_an_admitted_request_is_told_its_rate(clock):
    overload = OverloadProtection(rate_limit=3, rate_window=timedelta(seconds=10), now_ns=clock)
    assert at_once(overload.count_request("token"))[1] == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "2",
        "X-RateLimit-Reset": "10",
    }


def test_the_request_above_the_rate_limit_is_refused_with_429_and_the_exact_wait(clock, rejections):
    overload = OverloadProtection(
        rate_limit=1, rate_window=timedelta(seconds=10), now_ns=clock, on_rejection=rejections
    )
    at_once(overload.count_request("token"))
    clock.advance(SECOND + 1)
    error = refusal(overload.count_request, "token")
    assert (error.status, error.message) == (429, RATE)
    assert error.headers == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "9",
        "Retry-After": "9",
        "retry-after-ms": "9000",
    }
    assert rejections == ["rate"]


def test_a_wait_shorter_than_a_second_is_one_second_for_clients_that_count_in_seconds(clock):
    overload = OverloadProtection(rate_limit=1, rate_window=timedelta(milliseconds=5), now_ns=clock)
    at_once(overload.count_request("token"))
    headers = refusal(overload.count_request, "token").headers
    assert (headers["Retry-After"], headers["retry-after-ms"]) == ("1", "5")


@pytest.mark.parametrize(("waited", "expected"), [(SECOND, None), (SECOND - 1, "false")])
def test_a_client_is_told_not_to_retry_when_the_wait_exceeds_a_minute(clock, waited, expected):
    overload = OverloadProtection(rate_limit=1, rate_window=timedelta(seconds=61), now_ns=clock)
    at_once(overload.count_request("token"))
    clock.advance(waited)
    assert refusal(overload.count_request, "token").headers.get("x-should-retry") == expected


def test_the_users_request_above_their_concurrency_is_refused_with_429_and_their_rate_is_untouched(clock, rejections):
    overload = OverloadProtection(rate_limit=2, user_max_concurrency=1, now_ns=clock, on_rejection=rejections)
    at_once(overload.count_request("token", "user"))
    error = refusal(overload.count_request, "token", "user")
    assert (error.status, error.message) == (429, USER)
    assert error.headers == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": "1",
        "Retry-After": "1",
        "retry-after-ms": "1000",
    }
    assert rejections == ["user_concurrency"]
    assert at_once(overload.count_request("token"))[1]["X-RateLimit-Remaining"] == "0"


def test_a_refusal_by_the_users_concurrency_tells_a_rate_that_nobody_has_used(clock):
    overload = OverloadProtection(rate_limit=2, user_max_concurrency=1, now_ns=clock)
    at_once(overload.count_request("token", "user"))
    clock.advance(SECOND)
    headers = refusal(overload.count_request, "token", "user").headers
    assert (headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset"]) == ("2", "0")


def test_a_refusal_by_the_users_concurrency_says_nothing_of_a_rate_that_is_off():
    overload = OverloadProtection(user_max_concurrency=1)
    at_once(overload.count_request("token", "user"))
    assert refusal(overload.count_request, "token", "user").headers == {"Retry-After": "1", "retry-after-ms": "1000"}


def test_a_refusal_by_the_users_concurrency_names_the_longer_wait_when_the_rate_is_used_up_too(clock):
    overload = OverloadProtection(rate_limit=1, rate_window=timedelta(seconds=30), user_max_concurrency=1, now_ns=clock)
    at_once(overload.count_request("token", "user"))
    error = refusal(overload.count_request, "token", "user")
    assert (error.message, error.headers["Retry-After"], error.headers["retry-after-ms"]) == (USER, "30", "30000")


def test_a_refusal_by_rate_leaves_the_users_slots_untouched(clock):
    overload = OverloadProtection(rate_limit=1, user_max_concurrency=2, now_ns=clock)
    at_once(overload.count_request("token", "user"))
    assert refusal(overload.count_request, "token", "user").message == RATE
    assert overload.user_slots.in_use("user") == 1


ALL_TOKENS = "All your tokens together have reached the rate limit of your user. Please try again later."


def test_all_tokens_of_a_user_share_the_users_rate(clock, rejections):
    overload = OverloadProtection(user_rate_limit=3, now_ns=clock, on_rejection=rejections)
    for token in ("a", "b", "c"):
        at_once(overload.count_request(token, "user"))
    error = refusal(overload.count_request, "d", "user")
    assert (error.status, error.message, rejections) == (429, ALL_TOKENS, ["user_rate"])
    assert error.headers["X-RateLimit-Limit"] == "3"
    at_once(overload.count_request("a", "other user"))
    assert at_once(overload.count_request("203.0.113.9")) == ((), {})


def test_a_refusal_by_one_rate_leaves_the_other_and_the_slots_as_they_were(clock):
    overload = OverloadProtection(rate_limit=1, user_rate_limit=2, user_max_concurrency=9, now_ns=clock)
    at_once(overload.count_request("a", "user"))
    for _ in range(3):
        assert refusal(overload.count_request, "a", "user").message == RATE
    at_once(overload.count_request("b", "user"))
    for _ in range(3):
        assert refusal(overload.count_request, "c", "user").message == ALL_TOKENS
    assert (overload.rate.check("c").remaining, overload.user_rate.check("user").remaining) == (1, 0)
    assert overload.user_slots.in_use("user") == 2


def test_the_headers_are_those_of_the_tightest_rate(clock):
    overload = OverloadProtection(rate_limit=3, user_rate_limit=4, rate_window=timedelta(seconds=9), now_ns=clock)
    told = [
        tuple(at_once(overload.count_request(token, "user"))[1].values())
        for token, step in (("a", 0), ("a", SECOND), ("b", SECOND), ("b", 0))
        if clock.advance(step) is None
    ]
    assert told == [("3", "2", "9"), ("3", "1", "9"), ("4", "1", "9"), ("4", "0", "9")]


@given(
    limit=st.integers(1, 4),
    user_limit=st.integers(1, 6),
    requests=st.lists(st.tuples(st.integers(0, 15), st.sampled_from("abc")), max_size=40),
)
def test_no_window_holds_more_than_either_rate(limit, user_limit, requests):
    clock, admitted = Clock(), []
    overload = OverloadProtection(
        rate_limit=limit, user_rate_limit=user_limit, rate_window=timedelta(microseconds=10), now_ns=clock
    )
    for step, token in requests:
        clock.advance(step * 1000)
        fits = all(
            sum(at > clock.now_ns - 10_000 and one in keys for at, one in admitted) < most
            for keys, most in ((token, limit), ("abc", user_limit))
        )
        try:
            at_once(overload.count_request(token, "user"))
        except OverloadedError:
            assert not fits
        else:
            assert fits
            admitted.append((clock.now_ns, token))


def test_users_never_limit_one_another():
    overload = OverloadProtection(user_max_concurrency=1)
    at_once(overload.count_request("token", "user"))
    assert len(at_once(overload.count_request("other token", "other user"))[0]) == 1


@given(
    limit=st.integers(1, 3),
    window=st.timedeltas(timedelta(microseconds=1), timedelta(days=2)),
    steps=st.lists(st.integers(0, 10**12), max_size=10),
)
def test_waiting_as_long_as_either_header_says_succeeds(limit, window, steps):
    clock = Clock()
    overload = OverloadProtection(rate_limit=limit, rate_window=window, now_ns=clock)
    for header, unit in [("Retry-After", SECOND), ("retry-after-ms", 1_000_000)]:
        for step in [*steps, 0, 0, 0, 0]:
            clock.advance(step)
            try:
                at_once(overload.count_request("token"))
            except OverloadedError as error:
                wait = int(error.headers[header])
                assert wait >= 1
                clock.advance(wait * unit)
                at_once(overload.count_request("token"))


def test_what_is_used_is_told_busiest_first_and_bounded(clock):
    overload = OverloadProtection(rate_limit=5, rate_window=timedelta(seconds=10), now_ns=clock)
    at_once(overload.take_slot())
    for key, times in [("a", 1), ("b", 3), ("c", 2)]:
        for _ in range(times):
            at_once(overload.count_request(key, f"user of {key}"))
    usage = overload.usage(2)
    assert (usage.slots, usage.users) == (1, {"user of b": 3, "user of c": 2})
    assert [(key, rate.remaining) for key, rate in usage.rates.items()] == [("b", 2), ("c", 3)]


def test_without_a_rate_limit_no_rate_is_told():
    assert OverloadProtection().usage(10) == (0, {}, {}, {})


class Left(NamedTuple):
    limit: int = 9
    remaining: int = 0
    retry_after_ns: int = 2 * SECOND
    reset_ns: int = 3 * SECOND


class SharedSlot:
    released = 0

    def release(self):
        self.released += 1


class Told(NamedTuple):
    refused_by: str | None = None
    slot: Any = None
    rates: Any = ()


class Others:
    """Says what the test wants said, and keeps what it was asked."""

    def __init__(self, verdict=None):
        self.verdict = verdict or Told()
        self.asked = []

    async def take_slot(self):
        self.asked.append("slot")
        return self.verdict

    async def count_request(self, key, user_key):
        self.asked.append((key, user_key))
        return self.verdict


class TestTogether:
    def test_a_slot_is_taken_here_and_there_and_given_back_in_both(self):
        others = Others(Told(slot=SharedSlot()))
        overload = OverloadProtection(max_concurrency=1, shared=others)
        slots = at_once(overload.take_slot())
        assert (len(slots), overload.slots.in_use()) == (2, 1)
        for slot in slots:
            slot.release()
        assert (others.verdict.slot.released, overload.slots.in_use()) == (1, 0)

    def test_when_the_others_have_taken_all_slots_none_is_taken_here(self, rejections):
        overload = OverloadProtection(max_concurrency=1, shared=Others(Told("concurrency")), on_rejection=rejections)
        error = refusal(overload.take_slot)
        assert (error.status, error.message, rejections) == (503, CAPACITY, ["concurrency"])
        assert overload.slots.in_use() == 0

    def test_who_has_all_slots_alone_asks_nobody(self):
        others = Others(Told(slot=SharedSlot()))
        overload = OverloadProtection(max_concurrency=1, shared=others)
        at_once(overload.take_slot())
        assert refusal(overload.take_slot).message == CAPACITY
        assert others.asked == ["slot"]

    def test_nobody_is_asked_for_slots_that_are_not_limited(self):
        others = Others()
        at_once(OverloadProtection(shared=others).take_slot())
        assert others.asked == []

    def test_what_is_left_for_all_is_what_the_client_is_told(self):
        others = Others(Told(rates=[Left(remaining=4)]))
        overload = OverloadProtection(rate_limit=9, shared=others)
        slots, headers = at_once(overload.count_request("token", "user"))
        assert headers == {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset": "3"}
        assert (len(slots), others.asked) == (1, [("token", "user")])

    @pytest.mark.parametrize(
        ("refused_by", "message", "wait"), [("rate", RATE, "2000"), ("user_concurrency", USER, "2000")]
    )
    def test_a_refusal_for_all_is_told_as_ones_own(self, rejections, refused_by, message, wait):
        overload = OverloadProtection(
            rate_limit=9,
            user_max_concurrency=1,
            shared=Others(Told(refused_by, rates=[Left()])),
            on_rejection=rejections,
        )
        error = refusal(overload.count_request, "token", "user")
        assert (error.status, error.message, error.headers) == (
            429,
            message,
            {
                "X-RateLimit-Limit": "9",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "3",
                "Retry-After": "2",
                "retry-after-ms": wait,
            },
        )
        assert rejections == [refused_by]
        assert (len(overload.user_slots), overload.rate.check("token").remaining) == (0, 9)

    def test_a_rate_that_is_decided_for_all_is_not_decided_here_again(self, clock):
        overload = OverloadProtection(rate_limit=1, now_ns=clock, shared=Others(Told(rates=[Left(remaining=4)])))
        for _ in range(3):
            at_once(overload.count_request("token"))

    def test_while_nobody_can_tell_this_process_decides_and_knows_what_it_admitted_before(self, clock, rejections):
        others = Others(Told(rates=[Left(remaining=1)]))
        overload = OverloadProtection(rate_limit=2, now_ns=clock, shared=others, on_rejection=rejections)
        at_once(overload.count_request("token"))
        others.verdict = Told()
        assert at_once(overload.count_request("token"))[1]["X-RateLimit-Remaining"] == "0"
        assert refusal(overload.count_request, "token").message == RATE
        assert rejections == ["rate"]

    def test_what_this_process_refuses_alone_gives_back_what_was_held_for_it_elsewhere(self):
        others = Others()
        overload = OverloadProtection(rate_limit=1, user_max_concurrency=1, shared=others)
        for refused in (USER, RATE):
            others.verdict = Told(slot=SharedSlot())
            held = at_once(overload.count_request("token", "user"))[0] if refused is USER else ()
            others.verdict = Told(slot=SharedSlot())
            assert refusal(overload.count_request, "token", "user").message == refused
            assert others.verdict.slot.released == 1
            for slot in held:
                slot.release()
        assert len(overload.user_slots) == 0

    def test_more_slots_than_this_process_may_take_alone_are_refused_while_nobody_can_tell(self):
        # Asked at the same time, both were told that they may as far as is known.
        slots = [SharedSlot(), SharedSlot()]
        gate = asyncio.Event()

        class Slow(Others):
            async def take_slot(self):
                await gate.wait()
                return Told(slot=slots[len(self.asked)])

        async def both():
            overload = OverloadProtection(max_concurrency=1, shared=Slow())
            asking = [asyncio.create_task(overload.take_slot()) for _ in range(2)]
            await asyncio.sleep(0)
            gate.set()
            taken, refused = await asyncio.gather(*asking, return_exceptions=True)
            assert (len(taken), refused.message, overload.slots.in_use()) == (2, CAPACITY, 1)

        asyncio.run(both())
        assert [slot.released for slot in slots] == [1, 0]
