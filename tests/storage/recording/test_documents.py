from datetime import timedelta
from decimal import Decimal

import msgspec
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given

from intercept.recording import Keep, Recording
from intercept.records import (
    ModelThought,
    ProviderPrice,
    Reading,
    TokenUsage,
    ToolResult,
    ToolUsage,
)
from resources.recorded.interceptions import Interception, RecordedToolResult
from storage.prices.pricing import Cost
from storage.recording import documents
from storage.recording.documents import MAX_ID, ended_document, ending_fields, start_document
from storage.recording.operations import MAX_TEXT_BYTES
from tests.cases import for_each
from tests.storage import any_records
from tests.storage.records import ADA, ID, INSTANCE, as_json, ending, interception, kept


def resource(start, end=None):
    document = start_document(start, instance_id=INSTANCE)
    if end:
        document = ended_document(document, end)
    return as_json(Interception.of, kept(document), {ADA.id: ADA})


def test_a_start_has_the_tool_results_of_its_request_and_searches_their_calls():
    results = (ToolResult(id="call_1", bytes=7, is_error=True), ToolResult(id="x" * (MAX_ID + 1), bytes=1))
    document = start_document(interception(tool_results=results), instance_id=INSTANCE)
    assert document["tool_results"] == [{"id": "call_1", "bytes": 7, "is_error": True}]
    call = ToolUsage(provider_response_id="r", provider_tool_call_id="call_1", tool="ls", input="{}")
    document = ended_document(document, ending(reading=Reading(tool_usages=(call,))))
    document["tool_usages"][0]["result"] = {"bytes": Int64(7), "is_error": True}
    assert Interception.of(document, {}).tool_usages[0].result == RecordedToolResult(bytes=7, is_error=True)


def test_a_cost_is_kept_exactly_and_shown_as_a_number():
    cost = Cost(Decimal("0.000000825000"), "genai-prices 0.2.3")
    fields = ending_fields(ending(), cost=cost)
    assert fields["cost"] == {"usd": Decimal128("0.000000825000"), "prices": "genai-prices 0.2.3"}
    document = start_document(interception(), instance_id=INSTANCE) | fields
    assert as_json(Interception.of, kept(document), {})["cost"] == {"usd": 8.25e-07, "prices": "genai-prices 0.2.3"}


def test_an_interception_is_found_by_each_of_its_ids_once():
    reading = Reading(
        response_id="resp_1",
        token_usages=(TokenUsage(provider_response_id="resp_1"), TokenUsage(provider_response_id="resp_2")),
        tool_usages=(ToolUsage(provider_response_id="resp_3", provider_tool_call_id="", tool="", input=""),),
    )
    fields = ending_fields(ending(reading=reading))
    assert fields["request_ids"] == [str(ID), "req_1", "resp_1", "resp_2", "resp_3"]


def test_ids_that_are_empty_or_absurdly_long_find_nothing():
    end = ending(upstream_request_id="x" * (documents.MAX_ID + 1), reading=Reading(response_id=""))
    assert ending_fields(end)["request_ids"] == [str(ID)]


def test_a_usage_object_that_cannot_be_shown_again_is_left_out():
    usage = TokenUsage(provider_response_id="r", output_tokens=3, usage={"a": "\ud800"})
    reading = Reading(token_usages=(usage,))
    [recorded_usage] = resource(interception(), ending(reading=reading))["token_usages"]
    assert (recorded_usage["output_tokens"], recorded_usage["metadata"]) == (3, {"truncated": True})


def test_counts_beyond_64_bits_are_cut():
    usage = TokenUsage(provider_response_id="r", input_tokens=2**80, output_tokens=-(2**80))
    [recorded_usage] = resource(interception(), ending(reading=Reading(token_usages=(usage,))))["token_usages"]
    assert (recorded_usage["input_tokens"], recorded_usage["output_tokens"]) == (2**63 - 1, -(2**63))


def test_the_largest_texts_of_an_end_are_dropped_when_there_is_too_much():
    tool = ToolUsage(provider_response_id="", provider_tool_call_id="", tool="t", input="i" * MAX_TEXT_BYTES)
    thought = ModelThought(content="short", source="thinking")
    result = resource(interception(), ending(reading=Reading(tool_usages=(tool,), model_thoughts=(thought,))))
    assert [(t["tool"], t["input"], t["metadata"]) for t in result["tool_usages"]] == [("t", "", {"truncated": True})]
    assert [(t["content"], t["metadata"]) for t in result["model_thoughts"]] == [("short", {"source": "thinking"})]
    assert result["metadata"] == {}


def test_lists_without_end_are_cut():
    thoughts = tuple(ModelThought(content=str(n), source="thinking") for n in range(documents.MAX_LIST + 1))
    result = resource(interception(), ending(reading=Reading(model_thoughts=thoughts)))
    assert [thought["content"] for thought in result["model_thoughts"]] == [str(n) for n in range(documents.MAX_LIST)]
    assert result["metadata"] == {"truncated": True}


def test_a_reading_that_is_not_all_says_so():
    assert resource(interception(), ending(reading=Reading(truncated=True)))["metadata"] == {"truncated": True}


@given(any_records.interceptions, any_records.endings)
def test_any_record_is_the_same_after_the_database_had_it_and_can_be_written_as_json(start, end):
    document = kept(ended_document(start_document(start, instance_id=INSTANCE), end))
    read = kept(document)
    assert read == document
    assert as_json(Interception.of, read, {}) == as_json(Interception.of, document, {})
    encoded = msgspec.json.encode(resource(start, end))
    assert msgspec.json.decode(encoded)["end_reason"] == end.end_reason


@given(any_records.endings)
def test_every_count_is_shown_as_it_was_reported(end):
    result = resource(interception(), end)
    for usage, recorded_usage in zip(end.reading.token_usages, result["token_usages"], strict=True):
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens"):
            count = getattr(usage, name)
            assert recorded_usage[name] == (None if count is None else min(max(count, -(2**63)), 2**63 - 1))


def test_what_the_provider_takes_stands_beside_the_list_price():
    usages = tuple(
        TokenUsage(provider_response_id="", price=ProviderPrice(usd=Decimal(usd), source="cost"))
        for usd in ("0.25", "0.5")
    )
    ended = ending(reading=Reading(token_usages=(*usages, TokenUsage(provider_response_id=""))))
    fields = ending_fields(ended)
    assert fields["provider_cost"] == {"usd": Decimal128("0.75"), "source": "cost"}
    document = start_document(interception(), instance_id=INSTANCE) | fields
    assert as_json(Interception.of, kept(document), {})["provider_cost"] == {"usd": 0.75, "source": "cost"}
    assert "provider_cost" not in ending_fields(ending(reading=Reading()))


@for_each(
    ("rules", "days"),
    ({"retention": 9, "responses_retention": 2}, (9, 2)),
    ({"responses_retention": 2}, (None, 2)),
    ({"retention": 2, "responses_retention": 9}, (2, None)),
    ({"retention": 2, "responses_retention": 2}, (2, None)),
)
def test_a_call_says_when_its_response_goes_where_that_is_before_its_other_texts(rules, days):
    started = interception(recording=Recording(responses=Keep.FULL, **rules))
    document = start_document(started, instance_id=INSTANCE)
    times = [None if one is None else started.started_at + timedelta(days=one) for one in days]
    assert [document.get(name) for name in ("texts_until", "response_until")] == times
    without = start_document(interception(recording=Recording(**rules)), instance_id=INSTANCE)
    assert "response_until" not in without
