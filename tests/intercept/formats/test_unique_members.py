"""JSON is read as it is, unless an object has a member twice."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.formats.unique_members import RepeatedMemberError, decode_unique
from tests.cases import for_each
from tests.intercept.formats.test_small_members import MEMBERS


@given(MEMBERS, st.sampled_from([None, 1]), st.booleans())
def test_any_object_is_read_as_it_is_and_with_a_member_twice_refused(members, indent, is_inner):
    text = json.dumps([{"inner": members}], indent=indent)
    assert decode_unique(text.encode()) == [{"inner": members}]
    for name in members:
        pairs = [*members.items(), (name, 0)]
        inner = "{" + ", ".join(f"{json.dumps(one)}: {json.dumps(value)}" for one, value in pairs) + "}"
        with pytest.raises(RepeatedMemberError) as caught:
            decode_unique((f'[{{"inner": {inner}}}]' if is_inner else inner).encode())
        assert caught.value.name == name


@for_each("data", [b"", b"{", b'{"\xff": 1}', b"[" * 100_000, b"\xef\xbb\xbf{}", b'{"a": "\\ud800"}', b"NaN", b"{} {}"])
def test_what_is_no_json_is_refused(data):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        decode_unique(data)


@for_each("text", ["9" * 5_000, "-1e999", "18446744073709551616"])
def test_a_number_of_any_size_is_read_as_msgspec_reads_it(text):
    data = f'{{"a": {text}}}'.encode()
    try:
        number = msgspec.json.decode(data)
    except msgspec.DecodeError:
        with pytest.raises(msgspec.DecodeError):
            decode_unique(data)
    else:
        assert decode_unique(data) == number
