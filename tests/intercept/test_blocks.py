import json
from contextlib import suppress
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from intercept.blocks import (
    MAX_BLOCKS,
    MAX_BYTES,
    MAX_COMMAS,
    MAX_ONE_TEXT,
    MAX_SHIFT,
    BlockChange,
    BlockKind,
    Blocks,
    Difference,
    first_difference,
    shared_messages,
    unpack,
)
from intercept.formats.json_text import UNWEIGHED_BYTES
from tests.cases import for_each
from tests.intercept.packed import read_blocks as packed_blocks

MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def body(**members):
    return json.dumps(members, separators=(",", ":")).encode()


def user(text, **more):
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


def read_blocks(request_body):
    packed = packed_blocks(request_body)
    return None if packed is None else unpack(packed)


def checksum(text):
    return crc32(text).to_bytes(4) + len(text).to_bytes(4)


def of(*names):
    return tuple(checksum(name.encode()) for name in names)


def test_each_tool_each_system_text_and_each_message_is_a_block():
    read = read_blocks(b'{"model":"m","messages":[{"a":1},{"b":2}],"system":[{"s":1}],"tools":[{"t":1},{"u":2}]}')
    assert read == Blocks(of('{"t":1}', '{"u":2}'), of('{"s":1}'), of('{"a":1}', '{"b":2}'))


@for_each(
    ("request_body", "blocks"),
    (b'{"input":"Hello","instructions":"Be kind"}', Blocks((), of('"Be kind"'), of('"Hello"'))),
    (
        b'{"contents":[{"c":1}],"systemInstruction":{"s":1},"tools":[{"t":1}]}',
        Blocks(of('{"t":1}'), of('{"s":1}'), of('{"c":1}')),
    ),
    (b'{"contents":[{"c":1}],"system_instruction":{"s":1}}', Blocks((), of('{"s":1}'), of('{"c":1}'))),
    (
        b'{"messages":[{"m":1}],"system":[{"text":"s"}],"toolConfig":{"tools":[]}}',
        Blocks(of('{"tools":[]}'), of('{"text":"s"}'), of('{"m":1}')),
    ),
    (b'{"messages":[1],"system":null,"functions":[{"f":1}]}', Blocks(of('{"f":1}'), (), of("1"))),
)
def test_every_dialect_has_its_own_names_for_them(request_body, blocks):
    assert read_blocks(request_body) == blocks


@for_each("request_body", b"", b"{}", b"[1]", b'{"messages":[]}', b'{"messages":[1', b'{"tools":[1]}')
def test_a_body_without_messages_or_that_is_no_json_has_none(request_body):
    assert read_blocks(request_body) is None


def test_text_with_half_a_surrogate_pair_is_read_all_the_same():
    assert read_blocks(rb'{"messages":["\ud83d"]}') is not None


def test_bodies_with_too_much_in_them_are_not_read():
    assert read_blocks(b'{"messages":["' + b"a" * MAX_BYTES + b'"]}') is None
    assert read_blocks(b'{"messages":[' + b"0," * (MAX_COMMAS + 1) + b" " * UNWEIGHED_BYTES + b"0]}") is None


def test_the_first_blocks_are_kept_of_many():
    read = read_blocks(body(tools=["t"], system="s", messages=list(range(MAX_BLOCKS))))
    assert (len(read.tools), len(read.system), len(read.messages)) == (1, 1, MAX_BLOCKS - 2)
    assert read_blocks(body(tools=list(range(MAX_BLOCKS)), messages=[1])) is None


@for_each(
    ("marked", "plain"),
    (user("a", **MARK), user("a")),
    ({**MARK, "role": "user", "content": "a"}, {"role": "user", "content": "a"}),
    ({"role": "user", "content": [{**MARK, "type": "image"}]}, {"role": "user", "content": [{"type": "image"}]}),
    (
        {"role": "user", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}]},
        {"role": "user", "content": [{"text": "a"}]},
    ),
    (
        {"role": "user", "content": [{"cachePoint": {"type": "default"}}, {"text": "a"}]},
        {"role": "user", "content": [{"text": "a"}]},
    ),
    (user("a"), {"role": "user", "content": "a"}),
    (user('a"},{"', **MARK), {"role": "user", "content": 'a"},{"'}),
    ({"content": [{"type": "text", "text": "a"}], "role": "user"}, {"content": "a", "role": "user"}),
)
def test_marks_of_what_is_cached_and_a_list_of_one_text_make_no_difference(marked, plain):
    for separators in (",", ":"), (", ", ": "):
        one, other = (json.dumps({"messages": [each]}, separators=separators).encode() for each in (marked, plain))
        assert read_blocks(one).messages == read_blocks(other).messages


@for_each(
    "other",
    user("b"),
    user("a", citations=[]),
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": ["a"]},
)
def test_everything_else_makes_a_difference(other):
    assert read_blocks(body(messages=[user("a")])).messages != read_blocks(body(messages=[other])).messages


def test_many_spaces_are_looked_at_once_for_the_marks_behind_them():
    block = b'{"a":1%b}' % ((b" " * 50_000 + b',"cache_control":1') * 20)
    assert read_blocks(b'{"messages":[%b]}' % block).messages == (checksum(block),)


@for_each(
    "almost",
    b'{"role":"user","content":[{"type":"tool_result","text":"a"}]}',
    b'{"name":"content","content":[{"type":"text","text":"a"}]}',
    b'{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}',
    b'{"role":"user","content":[{"type":"text","text":"a"}],"name":"x"}',
    b'{"role":"user","content":[{"type":"text","text":"%b"}]}' % (b"a" * MAX_ONE_TEXT),
)
def test_what_is_not_a_message_of_one_text_stays_as_it_is(almost):
    assert read_blocks(b'{"messages":[%b]}' % almost).messages == (checksum(almost),)


texts = st.text(max_size=20)
requests = st.fixed_dictionaries(
    {"messages": st.lists(st.builds(user, texts), min_size=1, max_size=6)},
    optional={"tools": st.lists(texts, max_size=4), "system": st.lists(texts, max_size=3)},
)


@given(requests)
def test_blocks_are_unpacked_as_they_were_packed(request_):
    packed = packed_blocks(body(**request_))
    assert unpack(packed).pack() == packed


@given(st.binary(max_size=64))
def test_what_is_unpacked_are_blocks_or_an_error(packed):
    with suppress(ValueError):
        assert unpack(packed).pack() == packed


@given(requests, st.lists(st.builds(user, texts), max_size=3), st.data())
def test_a_conversation_that_goes_on_differs_in_nothing_wherever_it_is_marked(request_, added, data):
    messages = [*request_["messages"], *added]
    marked = data.draw(st.integers(0, len(messages) - 1))
    later = [user(one["content"][0]["text"], **(MARK if at == marked else {})) for at, one in enumerate(messages)]
    before, now = read_blocks(body(**request_)), read_blocks(body(**request_ | {"messages": later}))
    assert first_difference(before, now) is None
    assert shared_messages(before, now) == len(set(before.messages))


@for_each(
    ("before", "now", "difference"),
    ({"tools": "ab"}, {"tools": "xb"}, (BlockKind.TOOLS, 0, BlockChange.CHANGED)),
    ({"tools": "abc"}, {"tools": "acb"}, (BlockKind.TOOLS, 1, BlockChange.REORDERED)),
    ({"tools": "ab"}, {"tools": "abc"}, (BlockKind.TOOLS, 2, BlockChange.INSERTED)),
    ({"tools": "ab"}, {"tools": "xyab"}, (BlockKind.TOOLS, 0, BlockChange.INSERTED)),
    ({"tools": "abc"}, {"tools": "bc"}, (BlockKind.TOOLS, 0, BlockChange.REMOVED)),
    ({"tools": "abc"}, {"tools": "ab"}, (BlockKind.TOOLS, 2, BlockChange.REMOVED)),
    ({"tools": "a"}, {"tools": ""}, (BlockKind.TOOLS, 0, BlockChange.REMOVED)),
    ({"system": "ab"}, {"system": "ax"}, (BlockKind.SYSTEM, 1, BlockChange.CHANGED)),
    ({"system": "a"}, {"system": "ab"}, (BlockKind.SYSTEM, 1, BlockChange.INSERTED)),
    ({"tools": "a", "system": "b"}, {"tools": "x", "system": "y"}, (BlockKind.TOOLS, 0, BlockChange.CHANGED)),
    ({"messages": "abc"}, {"messages": "axcd"}, (BlockKind.MESSAGE, 1, BlockChange.CHANGED)),
    ({"messages": "abc"}, {"messages": "axbcd"}, (BlockKind.MESSAGE, 1, BlockChange.INSERTED)),
    ({"messages": "abcd"}, {"messages": "acde"}, (BlockKind.MESSAGE, 1, BlockChange.REMOVED)),
    ({"messages": "abc"}, {"messages": "ab"}, (BlockKind.MESSAGE, 2, BlockChange.REMOVED)),
    ({"messages": "ab"}, {"messages": "axyz"}, (BlockKind.MESSAGE, 1, BlockChange.CHANGED)),
    ({"messages": "ab"}, {"messages": "abc"}, None),
    ({"messages": "ab"}, {"messages": "ab"}, None),
)
def test_the_first_block_that_differs_is_found_with_what_happened_to_it(before, now, difference):
    old, new = (Blocks(**{part: of(*names) for part, names in each.items()}) for each in (before, now))
    assert first_difference(old, new) == (difference and Difference(*difference))


def test_more_blocks_than_may_be_inserted_are_a_change():
    before, added = of("a", "b"), of(*map(str, range(MAX_SHIFT)))
    assert first_difference(Blocks(before), Blocks(added + before)).change is BlockChange.INSERTED
    assert first_difference(Blocks(before), Blocks(of("x") + added + before)).change is BlockChange.CHANGED
