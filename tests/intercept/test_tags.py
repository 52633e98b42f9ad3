import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tornado.httputil import HTTPHeaders

from intercept.apis import InvalidRequestError
from intercept.dialects import anthropic as messages
from intercept.dialects.openai import chat_completions, responses
from intercept.tags import HEADER, MAX_TAGS, MAX_VALUE, metadata_tags, read_tags, together
from tests.cases import for_each


def of(text):
    return read_tags(HTTPHeaders({"x-aibridge-tags": text}))


@for_each(
    ("text", "tags"),
    ("project=apollo,env=ci", {"project": "apollo", "env": "ci"}),
    (" Project = a b=c , ", {"project": "a b=c"}),
    ("", {}),
    (",".join(f"t{n}={'v' * MAX_VALUE}" for n in range(MAX_TAGS)), {f"t{n}": "v" * MAX_VALUE for n in range(MAX_TAGS)}),
)
def test_a_header_is_a_list_of_tags(text, tags):
    assert of(text) == tags


def test_without_a_header_there_is_no_tag():
    assert read_tags({}) == {}


@for_each(
    ("text", "problem"),
    ("project", "'project' is no tag. A tag is NAME=VALUE; a name has up to 40 characters of a-z 0-9 _ -"),
    ("a.b=c", "'a.b=c' is no tag. A tag is NAME=VALUE; a name has up to 40 characters of a-z 0-9 _ -"),
    ("a=", "the value of a must have 1 to 128 characters of ASCII, and no comma"),
    ("a=" + "v" * 129, "the value of a must have 1 to 128 characters of ASCII, and no comma"),
    ("a=\u00e9", "the value of a must have 1 to 128 characters of ASCII, and no comma"),
    ("a=1,A=2", "A is there more than once"),
    (",".join(f"t{n}=v" for n in range(17)), "has 17 tags; at most 16 are allowed"),
)
def test_a_header_that_is_no_list_of_tags_is_refused(text, problem):
    with pytest.raises(InvalidRequestError) as refused:
        of(text)
    assert str(refused.value) == f"{HEADER}: {problem}"


@given(st.text(st.characters(codec="latin-1"), max_size=200))
def test_any_header_is_bounded_tags_or_refused(text):
    try:
        tags = read_tags({HEADER: text})
    except InvalidRequestError:
        return
    assert len(tags) <= MAX_TAGS
    assert all(name == name.lower() and 1 <= len(value) <= MAX_VALUE for name, value in tags.items())


@for_each(
    ("metadata", "tags"),
    (
        {"Project": "apollo", "odd.name": "x", "number": 5, "list": ["x"], "long": "v" * 129, "two": "a\nb"},
        {"project": "apollo"},
    ),
    ({"user_id": "u-42"}, {"user_id": "u-42"}),
    ({"user_id": '{"session_id":"1"}'}, {}),
    ({"user_id": "user_1_account__session_2"}, {}),
    ("text", {}),
    (None, {}),
    ({str(number): "v" for number in range(40)}, {str(number): "v" for number in range(MAX_TAGS)}),
)
def test_of_metadata_what_fits_is_a_tag(metadata, tags):
    assert metadata_tags(Raw(json.dumps(metadata).encode())) == tags
    assert metadata_tags(Raw()) == {}


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)).map(
        lambda one: json.dumps(one).encode()
    )
)
def test_any_metadata_is_bounded_tags(data):
    tags = metadata_tags(Raw(data))
    assert len(tags) <= MAX_TAGS
    assert all(1 <= len(value) <= MAX_VALUE for value in tags.values())


def test_the_header_comes_before_the_body():
    many = {str(number): "v" for number in range(MAX_TAGS)}
    assert together({"a": "1"}, {"a": "2", "b": "3"}) == {"a": "1", "b": "3"}
    assert len(together({"a": "1"}, many)) == MAX_TAGS


@pytest.mark.parametrize(
    ("api", "content"),
    [
        (chat_completions, {"messages": [{"role": "user", "content": "x" * 400_000}]}),
        (responses, {"input": "x" * 400_000}),
        (messages, {"messages": [{"role": "user", "content": "x" * 400_000}]}),
    ],
)
def test_the_metadata_of_every_api_is_read_of_large_bodies_too(api, content):
    request = {"model": "m", "metadata": {"project": "apollo", "odd": 5}}
    assert api.parse_request(json.dumps(request).encode()).tags == {"project": "apollo"}
    assert api.parse_request(json.dumps(request | content).encode()).tags == {"project": "apollo"}
    huge = request["metadata"] | {"blob": "y" * 2**16}
    assert api.parse_request(json.dumps(content | {"model": "m", "metadata": huge}).encode()).tags == {}
