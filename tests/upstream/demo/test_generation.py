from tests.cases import for_each
from upstream.demo.generation import (
    GenerationRequest,
    generate,
    sample,
)


def send(prompt="", **rest):
    return generate(GenerationRequest(size=10, prompt=prompt, **rest))


@for_each("tool", ["get", "weather", "", "get_weather(", "GET_WEATHER"])
def test_a_tool_that_is_not_named_as_a_word_is_not_called(tool):
    assert send("get_weather of readers", tools={tool: {}}).tool_calls == ()


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


def test_the_time_that_copilot_puts_before_a_prompt_is_not_repeated():
    clock = "<current_datetime>2026-11-26T13:07:43Z</current_datetime>"
    for prompt, quoted in ((f"{clock}\n\nHi", "Hi"), (clock, clock), ("<current_datetime>Hi", "<current_datetime>Hi")):
        assert f"You asked: “{quoted}”." in generate(GenerationRequest(size=0, prompt=prompt)).text
