import json

from intercept.catalog import MESSAGES
from tests.cases import for_each
from upstream.demo.generation import DemoCall, sample


@for_each("tool", "get", "weather", "", "get_weather(", "GET_WEATHER")
def test_a_tool_that_is_not_named_as_a_word_is_not_called(tool):
    request = {"model": "demo", "messages": [{"role": "user", "content": "get_weather of readers"}]}
    body = json.dumps(request | {"tools": [{"name": tool, "input_schema": {}}]}).encode()
    assert DemoCall.of(MESSAGES, body, "key", 0).generation.tool_calls == ()


@for_each(
    ("schema", "value"),
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
)
def test_a_sample_fits_its_schema(schema, value):
    assert sample(schema) == value
