import json

from intercept.dialects.anthropic import read_line, usages_of
from intercept.dialects.batch_lines import BatchResult
from intercept.records import TokenUsage
from tests.cases import for_each

IN_A_BATCH = {"service_tier": "batch"}


def line(kind="succeeded", **message):
    result = {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 4}} | message
    return json.dumps({"custom_id": "\u00fc", "result": {"type": kind, "message": result}}).encode()


def test_a_line_is_read_if_its_request_got_a_message():
    usage = {"input_tokens": 3, "output_tokens": 4}
    used = TokenUsage(provider_response_id="msg_1", input_tokens=3, output_tokens=4, usage=usage | IN_A_BATCH)
    assert read_line(line()) == BatchResult("\u00fc", "msg_1", "m", (used,))
    assert [read_line(one) for one in (line("errored"), b"", b"no JSON", b"[]")] == [None] * 4


def test_what_a_compaction_used_is_a_usage_of_its_own():
    compaction = {"type": "compaction", "input_tokens": 180, "output_tokens": 35}
    usage = {"input_tokens": 3, "output_tokens": 4, "iterations": [compaction, {"type": "message", "input_tokens": 3}]}
    assert read_line(line(usage=usage)).usages == (
        TokenUsage(provider_response_id="msg_1", input_tokens=180, output_tokens=35, usage=compaction | IN_A_BATCH),
        TokenUsage(provider_response_id="msg_1", input_tokens=3, output_tokens=4, usage=usage | IN_A_BATCH),
    )


def test_a_compaction_is_made_at_the_speed_of_the_message_and_advice_is_not():
    iterations = [
        {"type": "compaction", "input_tokens": 9},
        {"type": "advisor_message", "model": "n", "input_tokens": 8},
    ]
    usage = {"service_tier": "standard", "speed": "fast", "input_tokens": 3, "iterations": iterations}
    assert [(used.model, used.usage) for used in usages_of(usage)] == [
        ("", iterations[0] | {"speed": "fast"}),
        ("n", iterations[1]),
        ("", usage),
    ]


@for_each("message", [{"usage": {}}, {"usage": None}, {"model": ""}, {"model": "m" * 257}])
def test_without_a_model_or_tokens_there_is_nothing_to_record(message):
    assert read_line(line(**message)) is None
