import json

from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.demo.generation import (
    QUOTE_LIMIT,
    GenerationRequest,
    generate,
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


def test_a_long_prompt_is_quoted_up_to_the_limit():
    assert send("a" * QUOTE_LIMIT).text == f"{GREETING} You asked: “{'a' * QUOTE_LIMIT}”. {FAREWELL}"
    assert send("a" * (QUOTE_LIMIT + 1)).text == f"{GREETING} You asked: “{'a' * QUOTE_LIMIT}…”. {FAREWELL}"


@for_each("tool", ["get", "weather", "", "get_weather(", "GET_WEATHER"])
def test_a_tool_that_is_not_named_as_a_word_is_not_called(tool):
    assert send("get_weather of readers", tools={tool: {}}).tool_calls == ()


def test_a_thought_comes_only_where_it_is_wanted():
    assert send().thought == ""
    thought = "Someone wants to see a stream. I will say what this is, and quote the question back."
    assert send(wants_thought=True).thought == thought


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
