from intercept.records import EndReason, Reading, Status, TokenUsage, UsageSource
from tests.cases import for_each


@for_each("reason", EndReason)
def test_only_a_completed_exchange_has_not_failed(reason):
    assert reason.status is (Status.COMPLETED if reason == "completed" else Status.FAILED)


def test_the_reasons_are_written_as_they_are_listed():
    assert sorted(EndReason) == [
        "circuit_open",
        "client_disconnected",
        "completed",
        "server_crashed",
        "server_shutdown",
        "upstream_error",
        "upstream_stream_error",
        "upstream_timeout",
        "upstream_truncated",
        "upstream_unreachable",
    ]


def test_a_count_that_was_not_reported_is_none_and_a_zero_stays_zero():
    usage = TokenUsage(provider_response_id="r", output_tokens=0)
    assert (usage.input_tokens, usage.output_tokens, usage.source, usage.usage) == (None, 0, UsageSource.PROVIDER, {})


def test_usage_objects_are_not_shared():
    first, second = TokenUsage(provider_response_id="a"), TokenUsage(provider_response_id="b")
    first.usage["x"] = 1
    assert second.usage == {}


def test_a_reading_of_nothing_claims_nothing():
    reading = Reading()
    assert (reading.response_id, reading.complete, reading.open_ended, reading.truncated) == ("", False, False, False)
    assert (reading.error, reading.token_usages, reading.tool_usages, reading.model_thoughts) == (None, (), (), ())
