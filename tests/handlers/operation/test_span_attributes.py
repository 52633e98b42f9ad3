from __future__ import annotations

from uuid import UUID

from hypothesis import given

from handlers.lifecycle import ActiveRequest
from handlers.operation.span_attributes import of_call, of_request
from intercept.records import EndReason, Reading, TokenUsage
from tests.cases import for_each
from tests.storage import any_records
from tests.storage.records import NOON, ending, interception


def usage(**counts):
    return TokenUsage(provider_response_id="r", **counts)


def tokens(*usages):
    said = of_call(interception(), ending(reading=Reading(token_usages=usages)))
    return {name.removeprefix("gen_ai.usage."): value for name, value in said.items() if "usage" in name}


def test_a_request_is_described_as_far_as_it_is_known():
    nothing = ActiveRequest(request_id="1", since=NOON)
    assert of_request(None, nothing) == {}
    everything = ActiveRequest(
        request_id="1",
        since=NOON,
        user_id=UUID(int=1),
        username="ada",
        provider="azure",
        route="/v1/responses",
        model="m",
        interception_id=UUID(int=2),
    )
    assert of_request(429, everything) == {
        "http.response.status_code": 429,
        "http.route": "/v1/responses",
        "enduser.id": str(UUID(int=1)),
        "aibridge.provider.name": "azure",
        "aibridge.interception.id": str(UUID(int=2)),
    }
    assert of_request(503, nothing) == {"http.response.status_code": 503, "error.type": "503"}


@for_each(
    ("usages", "said"),
    [
        ((), {}),
        ((usage(),), {}),
        ((usage(output_tokens=0),), {"output_tokens": 0}),
        ((usage(input_tokens=5),), {"input_tokens": 5}),
        (
            (usage(input_tokens=5, cache_read_input_tokens=4, cache_write_input_tokens=0),),
            {"input_tokens": 9, "cache_read.input_tokens": 4, "cache_creation.input_tokens": 0},
        ),
        (
            (usage(input_tokens=1, output_tokens=2), usage(input_tokens=10, cache_write_input_tokens=3)),
            {"input_tokens": 14, "output_tokens": 2, "cache_creation.input_tokens": 3},
        ),
    ],
)
def test_cached_tokens_are_among_the_input_and_what_was_not_reported_is_left_out(usages, said):
    assert tokens(*usages) == said


@given(any_records.interceptions, any_records.endings)
def test_span_attributes_have_the_reason_of_a_failure_and_no_recorded_text(started, ended):
    said = of_call(started, ended)
    assert set(said) <= {
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.conversation.id"),
        *("gen_ai.response.id", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "aibridge.end_reason"),
        *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "error.type"),
    }
    assert said.get("error.type") == (None if ended.end_reason is EndReason.COMPLETED else ended.end_reason.value)
