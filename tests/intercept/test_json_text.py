import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.json import Decoder

from intercept.json_text import as_index, as_object, as_objects, as_text, decode, read, read_array, read_object

ANY = Decoder()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud83d\ude80"', "🚀"),
        (rb'"\ud83d"', "�"),
        (rb'"\ude80\ud83d"', "��"),
        (rb'"a\uD83Db\uDE80c"', "a�b�c"),
        (rb'"\ud83d\ud83d\ude80"', "�🚀"),
        (rb'"\\ud83d \ud83d"', r"\ud83d �"),
        (rb'"\"\n\u0000\ud83d"', '"\n\0�'),
        (rb'{"\ud83d":["\udfff"]}', {"�": ["�"]}),
        (b'"a\xffb"', "a�b"),
        (b'"\xe6\x9d\xb1 \xf0\x9f\x9a"', "東 �"),
    ],
)
def test_what_is_no_unicode_becomes_the_replacement_character(text, value):
    assert decode(text, ANY) == value


@given(value=VALUES, ascii_only=st.booleans())
def test_json_is_decoded_as_the_standard_library_encodes_it(value, ascii_only):
    assert decode(json.dumps(value, ensure_ascii=ascii_only).encode(), ANY) == value


@given(text=st.text(st.sampled_from('\ud800\udbff\udc00\udfff\\"u🚀a\0')))
def test_a_string_with_any_surrogates_can_be_stored_as_utf_8(text):
    value = decode(json.dumps(text).encode(), ANY)
    assert value.encode().decode() == value == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"", msgspec.DecodeError, "Input data was truncated"),
        (b'{"a":', msgspec.DecodeError, "Input data was truncated"),
        (b"[NaN]", msgspec.DecodeError, "JSON is malformed: invalid character (byte 1)"),
        (b"[] []", msgspec.DecodeError, "JSON is malformed: trailing characters (byte 4)"),
        (b'"\x00"', msgspec.DecodeError, "JSON is malformed: invalid character (byte 1)"),
        (b"[1e999]", msgspec.ValidationError, "Number out of range - at `$[0]`"),
    ],
)
def test_what_is_no_json_is_refused_by_decode_and_nothing_to_read(text, error, message):
    with pytest.raises(error) as raised:
        decode(text, ANY)
    assert str(raised.value) == message
    assert read(text, ANY) is None


def test_what_is_nested_too_deeply_is_refused_by_decode_and_nothing_to_read():
    text = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(RecursionError):
        decode(text, ANY)
    assert read(text, ANY) is None


@given(data=st.binary())
def test_reading_never_raises(data):
    assert read(data, Decoder(dict)) is None or data.lstrip().startswith(b"{")
    assert isinstance(read_object(data), dict)
    assert isinstance(read_array(data), list)


def test_an_array_is_read_no_deeper_than_its_items():
    assert [bytes(item) for item in read_array(b'[1, {"a": [ ]}, "\xff"]')] == [b"1", b'{"a": [ ]}', b'"\xff"']
    assert read_array(b'{"0": 1}') == []
    assert read_array(Raw()) == []


def test_an_object_is_read_whole_and_anything_else_is_an_empty_one():
    assert read_object(b'{"a": {"b": [1]}, "a": 2}') == {"a": 2}
    assert [read_object(text) for text in (b"[]", b"null", b'"a"', b"1", b"")] == [{}] * 5


@pytest.mark.parametrize(
    ("look", "fitting", "nothing"),
    [(as_object, {"a": 1}, {}), (as_objects, [{"a": 1}, {}], []), (as_text, "a", ""), (as_index, 7, 0)],
)
def test_a_value_of_another_kind_is_an_empty_one(look, fitting, nothing):
    assert look(fitting) == fitting
    others = [
        None,
        True,
        1.5,
        "7" if nothing != "" else 7,
        [[]] if nothing != [] else {},
        {"b": 1} if nothing != {} else [],
    ]
    assert [look(other) for other in others] == [nothing] * len(others)


def test_objects_are_picked_out_of_a_mixed_array():
    assert as_objects([1, {"a": 1}, None, [{}], "b", {}]) == [{"a": 1}, {}]
