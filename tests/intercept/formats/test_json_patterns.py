"""JSON by regular expressions."""

import json
import re

import hypothesis.strategies as st
from hypothesis import given

from intercept.formats.json_patterns import (
    compile_patterns,
    find_items,
    find_members,
    find_scalar,
    find_text,
    finding_others,
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)  # fmt: skip
written = st.tuples(st.sampled_from([None, 2]), st.booleans())


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def dumped(value, how):
    indent, ascii_ = how
    return json.dumps(value, indent=indent, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")


@given(scalars, written)
def test_a_scalar_is_found_whole(value, how):
    body = dumped(value, how)
    assert find_scalar(body, 0, len(body)).end() == len(body)


@given(st.lists(values.filter(lambda one: depth(one) < 5), min_size=1, max_size=5), written)
def test_all_items_but_the_last_are_found_as_far_as_they_are_not_too_deep(items, how):
    body = dumped([*items, 0], how)
    begin = 1 + len(body[1:]) - len(body[1:].lstrip())
    assert body[find_items(body, begin, len(body)).end() :].lstrip() in {b"0]", b"0\n]"}


@given(st.dictionaries(st.text(max_size=5), scalars, min_size=1, max_size=5), written)
def test_all_members_but_the_last_are_found(members, how):
    body = dumped(members | {"last key": 0}, how)
    begin = 1 + len(body[1:]) - len(body[1:].lstrip())
    assert body[find_members(body, begin, len(body)).end() :].startswith(b'"last key"')


def test_members_of_some_names_are_left_and_so_is_a_key_that_may_be_one_of_them():
    find = finding_others(("model", "n"))
    assert find(b'"a": 1, "b": [2], "model": 3', 0, 100).end() == 18
    assert find(b'"\\u006d": 1, "b": 2', 0, 100) is None
    assert find(b'"name": 1, "n": 2', 0, 100).end() == 11


def test_a_text_ends_before_its_quotation_mark_and_keeps_pairs_together():
    assert find_text(b'ab\\n\\"c" ', 0, 100).end() == 7
    assert find_text(b"a\\ud83d", 0, 7).end() == 1  # the other half is not there yet
    assert find_text(b'a\\ud83d\\ude00"', 0, 100).end() == 13


def test_patterns_are_compiled_beforehand_or_when_they_are_used(monkeypatch):
    find = finding_others(("model",))
    compile_patterns()
    later = finding_others(("model",))
    compiled = re.compile
    patterns = []
    monkeypatch.setattr(re, "compile", lambda pattern: patterns.append(pattern) or compiled(pattern))
    for _ in range(2):
        assert find(b'"a":1,"model"', 0, 13).end() == 6
    assert patterns == []
    for _ in range(2):
        assert later(b'"a":1,"model"', 0, 13).end() == 6
    assert len(patterns) == 1
