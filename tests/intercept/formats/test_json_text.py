import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.formats.json_text import (
    MAX_FITTED_VALUES,
    MAX_MENDED_ESCAPES,
    MAX_MENDED_HALVES,
    MAX_TEXT_BYTES,
    RepeatedMemberError,
    decode,
    decode_unique,
    read,
    read_array,
    read_last_members,
    read_object,
    read_struct,
    text_of,
)
from tests.cases import for_each

ANY = Decoder()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner),
    max_leaves=20,
)


@for_each(
    ("text", "value"),
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


@for_each(
    ("text", "error", "message"),
    (b"", msgspec.DecodeError, "Input data was truncated"),
    (b'{"a":', msgspec.DecodeError, "Input data was truncated"),
    (b"[NaN]", msgspec.DecodeError, "JSON is malformed: invalid character (byte 1)"),
    (b"[] []", msgspec.DecodeError, "JSON is malformed: trailing characters (byte 4)"),
    (b'"\x00"', msgspec.DecodeError, "JSON is malformed: invalid character (byte 1)"),
    (b"[1e999]", msgspec.ValidationError, "Number out of range - at `$[0]`"),
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


def test_an_array_is_read_no_deeper_than_its_items():
    assert [bytes(item) for item in read_array(b'[1, {"a": [ ]}, "\xff"]')] == [b"1", b'{"a": [ ]}', b'"\xff"']
    assert read_array(b'{"0": 1}') == []
    assert read_array(Raw()) == []


class Inner(Struct):
    a: Any = None
    b: Raw = Raw()


class Outer(Struct):
    a: Any = None
    one: Inner | None = None
    many: list[Inner] | None = None


@for_each(
    ("text", "result"),
    (
        b'{"one": {"a": 1}, "many": [{"a": 1}, 2, null, {"a": [3]}], "x": 0}',
        Outer(one=Inner(a=1), many=[Inner(a=1), Inner(a=[3])]),
    ),
    (b'{"one": 5, "a": 1, "many": {"a": 1}}', Outer(a=1, many=[])),
    (rb'{"a": "\ud83d", "one": {"a": [1]}, "many": 7}', Outer(a="\ufffd", one=Inner(a=[1]), many=[])),
    (b'{"one": null, "many": null}', Outer()),
    (b"[1]", None),
    (b"", None),
)
def test_what_is_not_of_a_struct_s_type_is_left_out_and_the_rest_kept(text, result):
    assert read_struct(text, Decoder(Outer)) == result


def test_a_number_out_of_range_is_left_out_alone():
    assert read_struct(b'{"a": 1e999, "one": {"a": 2}}', Decoder(Outer)) == Outer(one=Inner(a=2))


def test_an_object_is_read_whole_and_anything_else_is_an_empty_one():
    assert read_object(b'{"a": {"b": [1]}, "a": 2}') == {"a": 2}
    assert [read_object(text) for text in (b"[]", b"null", b'"a"', b"1", b"")] == [{}] * 5


@for_each("text", rb"\n" * 40_000, b"x" * 3 * 2**20, "é".encode() * 2**20)
def test_a_long_text_is_mended_too(text):
    assert decode(b'"%b\\ud83d"' % text, ANY) == decode(b'"%b"' % text, ANY) + "\ufffd"


@for_each("text", rb"\n" * (MAX_MENDED_ESCAPES + 1) + rb"\ud83d", rb"\ud83d" * (MAX_MENDED_HALVES + 1))
def test_a_text_with_too_much_to_mend_is_refused(text):
    with pytest.raises(ValueError, match=r"truncated|too many"):
        decode(b'"%b"' % text, ANY)


@given(st.text(st.sampled_from('\ud800\udc00\\"u🚀a\n'), max_size=20))
def test_of_a_long_text_the_beginning_is_read(end):
    text = "a" * (MAX_TEXT_BYTES - 40) + end * 2
    for data in (
        json.dumps(text + "b" * 40).encode(),
        json.dumps(text + "é" * 40, ensure_ascii=False).encode("utf-8", "replace"),
    ):
        read_text = text_of(Raw(data))
        assert len(read_text) > MAX_TEXT_BYTES - 60 - 10 * len(end)
        assert (json.loads(data).encode("utf-16", "surrogatepass").decode("utf-16", "replace")).startswith(
            read_text[:-2]
        )


@pytest.mark.timed
def test_what_is_not_as_it_should_be_is_looked_at_up_to_a_bound():
    class Item(Struct):
        text: Any = None

    class Group(Struct):
        items: list[Item] | None = None

    class All(Struct):
        groups: list[Group] | None = None

    groups = b",".join([b'{"items":[' + b"{}," * 99 + b"0]}"] * 900)
    result = read_struct(b'{"groups":[' + groups + b"]}", Decoder(All))
    assert 1000 < sum(1 + len(group.items) for group in result.groups) <= MAX_FITTED_VALUES


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), VALUES, max_size=4),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_any_object_is_read_as_it_is_and_with_a_member_twice_refused(members, indent, is_inner):
    text = json.dumps([{"inner": members}], indent=indent)
    assert decode_unique(text.encode()) == [{"inner": members}]
    for name in members:
        pairs = [*members.items(), (name, 0)]
        inner = "{" + ", ".join(f"{json.dumps(one)}: {json.dumps(value)}" for one, value in pairs) + "}"
        with pytest.raises(RepeatedMemberError) as caught:
            decode_unique((f'[{{"inner": {inner}}}]' if is_inner else inner).encode())
        assert caught.value.name == name


@for_each("data", b"", b"{", b'{"\xff": 1}', b"[" * 100_000, b"\xef\xbb\xbf{}", b'{"a": "\\ud800"}', b"NaN", b"{} {}")
def test_what_is_no_json_is_refused_where_no_member_may_be_there_twice(data):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        decode_unique(data)


@for_each("text", "9" * 5_000, "-1e999", "18446744073709551616")
def test_a_number_of_any_size_is_read_as_msgspec_reads_it(text):
    data = f'{{"a": {text}}}'.encode()
    try:
        number = msgspec.json.decode(data)
    except msgspec.DecodeError:
        with pytest.raises(msgspec.DecodeError):
            decode_unique(data)
    else:
        assert decode_unique(data) == number


class Told(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


TOLD = msgspec.json.Decoder(Told)
MEMBERS = st.recursive(
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
    (b'0.5]}], "usage": {"n": 1}}', {"n": 1}),
    (b'"x"}],"usage":{"usage":2},"model":"m"}', {"usage": 2}),
    (b'"a": {"usage": 3}}', None),
    (b'[{"usage": 3}]}', None),
    (b'"text": "\\"usage\\": {}"}', None),
    (b'"usage": {"n": 1}', None),
    (b"", None),
)
def test_only_a_member_of_the_outermost_object_is_found(tail, usage):
    assert usage_of(tail) == usage


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), MEMBERS, max_size=3), st.integers(0, 9), st.integers(0, 400))
def test_whatever_stands_before_it_the_usage_is_its_own_or_none(before, number, cut):
    text = json.dumps(before | {"usage": {"n": number}}).encode()
    tail = text[min(cut, len(text)) :]
    found = usage_of(tail)
    assert found == ({"n": number} if b'"usage": {"n"' in tail else None)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), MEMBERS, max_size=3), st.integers(0, 400))
def test_a_usage_within_another_value_is_never_taken_for_that_of_the_object(members, cut):
    text = json.dumps(members).encode()
    assert usage_of(text[min(cut, len(text)) :]) is None
