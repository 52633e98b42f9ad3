from decimal import Decimal

from intercept.records import TokenUsage
from limits.limit import MAX_AMOUNT, Amounts, amounts_of, remaining


def test_what_no_call_uses_is_bounded():
    usage = TokenUsage(provider_response_id="", input_tokens=2**63 - 1)
    assert amounts_of([usage], Decimal(10**9), cache_reads=False) == Amounts(MAX_AMOUNT, MAX_AMOUNT)


def test_less_is_reserved_the_more_output_has_come():
    usages = [TokenUsage(provider_response_id="", input_tokens=100, output_tokens=written) for written in (20, 5)]
    assert remaining(Amounts(100, 1000), 100, usages) == Amounts(75, 750)
    assert remaining(Amounts(100, 1000), 20, usages) == Amounts(0, 0)
    assert remaining(Amounts(0, 0), 0, usages) == Amounts(0, 0)
