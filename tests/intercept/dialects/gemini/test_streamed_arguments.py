import json

from msgspec import Raw

from intercept.dialects.drafts import MAX_TOOL_INPUT
from intercept.dialects.gemini.streamed_arguments import MAX_VALUES, PartialArgument, StreamedArguments
from tests.cases import for_each


def put_together(*pieces):
    arguments = StreamedArguments()
    for path, value in pieces:
        kind = {bool: "bool_value", str: "string_value", Raw: "number_value"}.get(type(value), "")
        arguments.add(PartialArgument(path, **({kind: value} if kind else {})))
    return arguments


@for_each(
    ("pieces", "result"),
    [
        ((), {}),
        ([("$.location", "Bos"), ("$.location", "ton"), ("$.unit", "")], {"location": "Boston", "unit": ""}),
        ([("$.n", Raw(b"1.50")), ("$.ok", False), ("$.nothing", None)], {"n": 1.5, "ok": False, "nothing": None}),
        ([("$.a[0].b", "x"), ("$.a[1].b", "y"), ("$.a[0].b", "z")], {"a": [{"b": "xz"}, {"b": "y"}]}),
        ([("$['odd name']", "x"), ('$["other"].deep', "y")], {"odd name": "x", "other": {"deep": "y"}}),
        ([("$.a", "text"), ("$.a.b", "within a text")], {"a": "text"}),
        ([("$.n", Raw(b'"\xff"'))], {"n": "\ufffd"}),
    ],
)
def test_pieces_make_one_object(pieces, result):
    arguments = put_together(*pieces)
    assert (json.loads(arguments.text()), arguments.truncated) == (result, False)


@for_each("path", ["", "location", "$", "$x", "$.a[", "$.a[*]", "$" + ".a" * 17, "$." + "x" * 2000])
def test_a_piece_without_a_place_is_left_out_and_that_is_said(path):
    arguments = put_together(("$.a", "kept"), (path, "lost"))
    assert (json.loads(arguments.text()), arguments.truncated) == ({"a": "kept"}, True)


def test_a_number_stays_as_it_was_written():
    assert put_together(("$.n", Raw(b"1.50e2"))).text() == '{"n":1.50e2}'


def test_no_more_is_kept_than_of_other_calls():
    arguments = put_together(("$.a", "x" * MAX_TOOL_INPUT), ("$.b", "y"))
    assert (arguments.truncated, len(arguments.text())) == (True, MAX_TOOL_INPUT + len('{"a":"","b":""}'))
    many = put_together(*((f"$.a{number}", "") for number in range(MAX_VALUES + 1)))
    assert (many.truncated, len(json.loads(many.text()))) == (True, MAX_VALUES)
