"""The amounts that limits count for a call, packed."""

from datetime import timedelta
from decimal import Decimal
from struct import unpack

from intercept.records import CredentialKind, Reading, TokenUsage
from storage.costs.prices import Cost
from storage.recording.charged import FORMAT, charged, charged_again
from tests.storage.records import NOON, ending, interception

USAGES = (
    TokenUsage(provider_response_id="a", input_tokens=10, output_tokens=20, cache_read_input_tokens=1000),
    TokenUsage(provider_response_id="b", cache_write_input_tokens=5),
)
NOON_MS = round(NOON.timestamp() * 1000)


def test_it_has_the_end_both_numbers_of_tokens_the_cost_rounded_up_and_who_pays():
    end = ending(reading=Reading(token_usages=USAGES), ended_at=NOON + timedelta(microseconds=2999))
    cost = Cost(Decimal("0.0000012"), "list")
    packed = charged(interception(credential_kind=CredentialKind.CENTRALIZED), end, cost)
    assert (len(packed), unpack(f"<{FORMAT}", packed)) == (33, (NOON_MS + 2, 35, 1035, 2, False))


def test_without_usage_and_price_it_has_nothing_but_the_end():
    packed = charged(interception(credential_kind=CredentialKind.BYOK), ending(ended_at=NOON), None)
    assert unpack(f"<{FORMAT}", packed) == (NOON_MS, 0, 0, 0, True)


def test_another_price_changes_the_cost_alone():
    end = ending(reading=Reading(token_usages=USAGES))
    call = interception()
    packed = charged(call, end, Cost(Decimal(1), "list"))
    assert charged_again(packed, Decimal("2.5000001")) == charged(call, end, Cost(Decimal("2.5000001"), "own"))
