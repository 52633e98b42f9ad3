import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from intercept.formats.last_members import read_last_members
from tests.cases import for_each


class Told(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


TOLD = msgspec.json.Decoder(Told)
VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(alphabet='usage":{}[],\\ ü', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["usage", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def usage_of(tail):
    found = read_last_members(tail, "usage", TOLD)
    return None if found is None else json.loads(bytes(found.usage))


@for_each(
    ("tail", "usage"),
    [
        (b'0.5]}], "usage": {"n": 1}}', {"n": 1}),
        (b'"x"}],"usage":{"usage":2},"model":"m"}', {"usage": 2}),
        (b'"a": {"usage": 3}}', None),
        (b'[{"usage": 3}]}', None),
        (b'"text": "\\"usage\\": {}"}', None),
        (b'"usage": {"n": 1}', None),
        (b"", None),
    ],
)
def test_only_a_member_of_the_outermost_object_is_found(tail, usage):
    assert usage_of(tail) == usage


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, max_size=3), st.integers(0, 9), st.integers(0, 400))
def test_whatever_stands_before_it_the_usage_is_its_own_or_none(before, number, cut):
    text = json.dumps(before | {"usage": {"n": number}}).encode()
    tail = text[min(cut, len(text)) :]
    found = usage_of(tail)
    assert found == ({"n": number} if b'"usage": {"n"' in tail else None)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, max_size=3), st.integers(0, 400))
def test_a_usage_within_another_value_is_never_taken_for_that_of_the_object(members, cut):
    text = json.dumps(members).encode()
    assert usage_of(text[min(cut, len(text)) :]) is None
