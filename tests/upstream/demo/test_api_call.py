from types import SimpleNamespace

import pytest

from tests.cases import for_each
from upstream.demo.api_call import Part, data_event, last_message, last_text, typed_event


@for_each(
    ("content", "text"),
    [
        ("hello", "hello"),
        (None, ""),
        ([], ""),
        ([Part(type="text", text="first"), Part(type="text", text="last"), Part(type="image")], "last"),
        ([Part(type="image")], ""),
    ],
)
def test_the_last_text_is_that_of_the_last_part_that_has_one(content, text):
    assert last_text(content) == text


def test_an_event_is_compact_json_on_one_line():
    assert data_event({"text": "a\nb", "number": 1}) == b'data: {"text":"a\\nb","number":1}\n\n'


def test_a_typed_event_is_named_by_its_type():
    assert typed_event({"type": "ping"}) == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_a_program_puts_behind_the_prompt_is_looked_past(role):
    messages = [SimpleNamespace(role="user"), SimpleNamespace(role=role), SimpleNamespace(role=role)]
    assert last_message(messages, None) is messages[0]
    assert last_message(messages[1:], None) is None
