from decimal import Decimal

from intercept.records import TokenUsage
from limits.limit import MAX_AMOUNT, Amounts, amounts_of, remaining

USAGES = (
    TokenUsage(
        provider_response_id="a",
        input_tokens=100,
        output_tokens=20,
        cache_read_input_tokens=3000,
        cache_write_input_tokens=400,
    ),
    TokenUsage(provider_response_id="b", output_tokens=5),
)


def test_tokens_are_input_output_and_cache_writes_and_reads_only_where_that_is_set():
    assert amounts_of(USAGES, None, cache_reads=False) == Amounts(525, 0)
    assert amounts_of(USAGES, None, cache_reads=True) == Amounts(3525, 0)


def test_money_is_rounded_up_to_micro_dollars():
    assert amounts_of((), Decimal("1.0000001"), cache_reads=False) == Amounts(0, 1_000_001)
    assert amounts_of((), Decimal("0.25"), cache_reads=False) == Amounts(0, 250_000)


def test_what_no_call_uses_is_bounded():
    usage = TokenUsage(provider_response_id="", input_tokens=2**63 - 1)
    assert amounts_of([usage], Decimal(10**9), cache_reads=False) == Amounts(MAX_AMOUNT, MAX_AMOUNT)


def test_less_is_reserved_the_more_output_has_come():
    assert remaining(Amounts(100, 1000), 100, USAGES) == Amounts(75, 750)
    assert remaining(Amounts(100, 1000), 20, USAGES) == Amounts(0, 0)
    assert remaining(Amounts(0, 0), 0, USAGES) == Amounts(0, 0)
