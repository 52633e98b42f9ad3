import json

from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.demo.generation import (
    QUOTE_LIMIT,
    Generation,
    GenerationRequest,
    ToolCall,
    count_tokens,
    generate,
    pieces,
    sample,
)

GREETING = (
    "Hello from the demo provider of AI Bridge. No model wrote this and nothing left your machine: "
    "the bridge relays these words one event at a time, as it would for any provider."
)
FAREWELL = (
    "Look at /api/v2/aibridge/interceptions with the same token to see what was recorded of this exchange: "
    "your prompt, the tokens, and how it ended."
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
schemas = st.recursive(
    st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null", "no such type"]).map(
        lambda kind: {"type": kind}
    ),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=4).map(
        lambda properties: {"type": "object", "properties": properties}
    ),
)


def send(prompt="", **rest):
    return generate(GenerationRequest(size=10, prompt=prompt, **rest))


def test_the_prompt_is_quoted_between_a_greeting_and_what_to_do_next():
    assert send("Why is the sky blue?").text == f"{GREETING} You asked: “Why is the sky blue?”. {FAREWELL}"


def test_without_a_prompt_nothing_is_quoted():
    assert send().text == f"{GREETING} {FAREWELL}"


def test_a_long_prompt_is_quoted_up_to_the_limit():
    assert send("a" * QUOTE_LIMIT).text == f"{GREETING} You asked: “{'a' * QUOTE_LIMIT}”. {FAREWELL}"
    assert send("a" * (QUOTE_LIMIT + 1)).text == f"{GREETING} You asked: “{'a' * QUOTE_LIMIT}…”. {FAREWELL}"


def test_braces_in_a_prompt_are_quoted_as_they_are():
    assert send("{0} {}").text == f"{GREETING} You asked: “{{0}} {{}}”. {FAREWELL}"


def test_every_tool_named_in_the_prompt_is_called():
    generation = send("Use get_time, then get_weather!", tools={"get_weather": {}, "other": {}, "get_time": None})
    assert generation.tool_calls == (ToolCall("get_weather", "{}"), ToolCall("get_time", "{}"))
    assert generation.text == "You named get_weather and get_time, so here is how a model would call it."


@for_each("tool", ["get", "weather", "", "get_weather(", "GET_WEATHER"])
def test_a_tool_that_is_not_named_as_a_word_is_not_called(tool):
    assert send("get_weather of readers", tools={tool: {}}).tool_calls == ()


def test_arguments_are_made_up_from_the_schema():
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    assert send("Call f.", tools={"f": schema}).tool_calls == (ToolCall("f", '{"city": "demo", "days": 1}'),)


def test_a_tool_result_is_acknowledged():
    generation = send(tool_result_id="call_7", tools={"call_7": {}})
    assert (
        generation.text == "Thank you, the result of tool call call_7 has arrived. A model would now put it into words."
    )
    assert generation.tool_calls == ()


def test_a_thought_comes_only_where_it_is_wanted():
    assert send().thought == ""
    thought = "Someone wants to see a stream. I will say what this is, and quote the question back."
    assert send(wants_thought=True).thought == thought


def test_tokens_are_a_quarter_of_the_characters_rounded_up():
    assert [count_tokens(characters) for characters in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_half_of_the_input_counts_as_cached_and_a_thought_as_output():
    generation = Generation(thought="12345", text="1234", tool_calls=(ToolCall("tool", "{}"),), input_tokens=5)
    assert (generation.cached_tokens, generation.thought_tokens, generation.output_tokens) == (2, 2, 2 + 1 + 2)


def test_pieces_are_words_with_the_space_after_them():
    assert list(pieces('{"city": "demo"}\n')) == ['{"city": ', '"demo"}\n']
    assert list(pieces("  ")) == ["  "]
    assert list(pieces("")) == []


@given(st.text())
def test_pieces_joined_are_the_text_again(text):
    assert "".join(pieces(text)) == text


@for_each(
    ("schema", "value"),
    [
        ({"type": "string"}, "demo"),
        ({"type": "integer"}, 1),
        ({"type": "number"}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "object"}, {}),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"type": "string", "enum": ["celsius", "kelvin"]}, "celsius"),
        ({"const": 7}, 7),
        ({"type": "object", "properties": {"a": {"properties": {"b": {"type": "integer"}}}}}, {"a": {"b": 1}}),
        ({"type": "colour"}, "demo"),
        ({"enum": []}, "demo"),
        ({}, "demo"),
        (None, "demo"),
        (True, "demo"),
    ],
)
def test_a_sample_fits_its_schema(schema, value):
    assert sample(schema) == value


@given(json_values | schemas)
def test_anything_at_all_has_a_sample_that_is_json(schema):
    assert json.loads(json.dumps(sample(schema))) == sample(schema)


def test_a_sample_of_a_bottomless_schema_ends():
    schema = {"type": "integer"}
    for _ in range(500):
        schema = {"properties": {"a": schema}}
    assert sample(schema, depth=2) == {"a": {"a": {}}}


def test_the_time_that_copilot_puts_before_a_prompt_is_not_repeated():
    clock = "<current_datetime>2026-11-26T13:07:43Z</current_datetime>"
    for prompt, quoted in ((f"{clock}\n\nHi", "Hi"), (clock, clock), ("<current_datetime>Hi", "<current_datetime>Hi")):
        assert f"You asked: “{quoted}”." in generate(GenerationRequest(size=0, prompt=prompt)).text
