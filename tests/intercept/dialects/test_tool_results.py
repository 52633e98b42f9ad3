import json

import pytest

from intercept.catalog import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from intercept.dialects.bedrock.converse import parse_request as parse_bedrock
from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.gemini.generate_content import parse_request as parse_gemini
from intercept.dialects.tool_results import MAX_RESULTS
from intercept.records import ToolResult
from tests.cases import for_each

MODEL = {"model": "m"}


def results(parse, body, model=""):
    return parse(json.dumps(body).encode(), model).tool_results


def messages(*contents, before=()):
    return MODEL | {"messages": [*before, *({"role": "user", "content": content} for content in contents)]}


def tool_result(id_, content, **more):
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "ls", "input": {}}]}


def test_messages_say_how_large_a_result_is_and_whether_the_tool_failed():
    parts = [{"type": "text", "text": "é"}]
    found = results(
        MESSAGES.parse_request,
        messages(
            [
                tool_result("a", "12345"),
                tool_result("b", parts, is_error=True),
                tool_result("c", None),
                {"type": "tool_result", "tool_use_id": "d"},
                tool_result("", "nobody's"),
                {"type": "text", "text": "go on"},
            ]
        ),
    )
    assert found == (
        ToolResult(id="a", bytes=5, is_error=False),
        ToolResult(id="b", bytes=len(json.dumps(parts)), is_error=True),
        ToolResult(id="c", bytes=0, is_error=False),
        ToolResult(id="d", bytes=0, is_error=False),
    )


def test_results_before_the_model_s_last_message_are_not_new():
    body = messages([tool_result("b", "1")], before=[CALLED, messages([tool_result("a", "1")])["messages"][0], CALLED])
    assert results(MESSAGES.parse_request, body) == (ToolResult(id="b", bytes=1, is_error=False),)


def test_what_the_model_is_to_continue_hides_no_result():
    body = messages([tool_result("a", "1")])
    body["messages"].append({"role": "assistant", "content": "So"})
    assert results(MESSAGES.parse_request, body) == (ToolResult(id="a", bytes=1, is_error=False),)


def test_of_two_results_of_a_call_the_last_one_counts():
    body = messages([tool_result("a", "1"), tool_result("a", "22")])
    assert results(MESSAGES.parse_request, body) == (ToolResult(id="a", bytes=2, is_error=False),)


def test_chat_has_a_message_for_each_result_and_no_mark_of_errors():
    body = MODEL | {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": []},
            {"role": "tool", "tool_call_id": "a", "content": "123"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": ""}]},
            {"role": "tool", "content": "nobody's"},
            {"role": "user", "content": "go on"},
        ]
    }
    assert results(CHAT_COMPLETIONS.parse_request, body) == (
        ToolResult(id="a", bytes=3),
        ToolResult(id="b", bytes=len('[{"type": "text", "text": ""}]')),
    )


@for_each(
    "item",
    {"type": "function_call_output", "call_id": "a", "output": "123"},
    {"type": "custom_tool_call_output", "call_id": "a", "output": "123"},
    {"type": "local_shell_call_output", "id": "a", "output": "123"},
    {"type": "local_shell_call_output", "call_id": "a", "id": "x", "output": "123"},
)
def test_responses_have_an_item_for_each_result(item):
    before = {"type": "function_call", "call_id": "z", "name": "ls", "arguments": "{}"}
    old = {"type": "function_call_output", "call_id": "old", "output": "1"}
    body = MODEL | {"input": [old, before, item], "previous_response_id": "resp_1"}
    assert results(RESPONSES.parse_request, body) == (ToolResult(id="a", bytes=3),)
    assert results(RESPONSES.parse_request, MODEL | {"input": "a text"}) == ()


@for_each("name", "functionResponse", "function_response")
@for_each(("given", "is_error"), ({"output": 1}, False), ({"error": "no"}, True), ({"error": None}, False), (7, False))
def test_gemini_s_functions_say_under_error_that_they_failed(name, given, is_error):
    part = {name: {"id": "a", "name": "ls", "response": given}}
    body = {"contents": [{"role": "user", "parts": [part, {name: {"name": "without id"}}, {"text": "x"}]}]}
    assert results(parse_gemini, body, "m") == (ToolResult(id="a", bytes=len(json.dumps(given)), is_error=is_error),)


@pytest.mark.parametrize(("status", "is_error"), [("error", True), ("success", False), (None, False)])
def test_converse_says_it_by_a_status(status, is_error):
    part = {"toolResult": {"toolUseId": "a", "content": [{"text": "1"}], "status": status}}
    body = {"messages": [{"role": "user", "content": [part, {"toolResult": {}}]}]}
    assert results(parse_bedrock, body, "m") == (ToolResult(id="a", bytes=len('[{"text": "1"}]'), is_error=is_error),)
    assert results(parse_bedrock, messages([tool_result("a", "1", is_error=True)]), "m") == (
        ToolResult(id="a", bytes=1, is_error=True),
    )


def test_so_many_results_are_kept_and_so_much_of_an_id():
    body = messages([tool_result(f"{number}" * MAX_NAME, "") for number in range(10, MAX_RESULTS + 11)])
    found = results(MESSAGES.parse_request, body)
    assert [one.id for one in found] == [f"{number}" * (MAX_NAME // 2) for number in range(11, MAX_RESULTS + 11)]
