"""What is small of an answer is found, however much else is in it, and whatever it is."""

import json

from hypothesis import given
from hypothesis import strategies as st

from intercept.formats import small_members as module
from intercept.formats.json_walk import WINDOW_BYTES
from intercept.formats.small_members import small_members
from intercept.formats.steps import finish
from tests.cases import for_each

LARGE = [0] * WINDOW_BYTES
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
MEMBERS = st.dictionaries(st.text(max_size=9).map("k".__add__), VALUES, max_size=5)


def small(body):
    kept = finish(small_members(body))
    return None if kept is None else json.loads(kept)


@given(MEMBERS, st.sampled_from(["output", "response", "message"]), st.sampled_from([None, 1]))
def test_all_is_kept_but_what_is_large(members, name, indent):
    inner = members | {"large": LARGE}
    kept = members | {name: members} if name in {"response", "message"} else members
    assert small(json.dumps(members | {name: inner, "b": {"a": LARGE}}, indent=indent).encode()) == kept
    body = json.dumps(members).encode()
    assert [small(body[:-1]), small(body + b"}"), small(b"[" + body + b"]")] == [None] * 3


@for_each(("name", "value", "kept"), [("MAX_KEPT_BYTES", 8, {"a": 1}), ("MAX_STEPS", 2, None)], ids=["kept", "steps"])
def test_what_is_kept_and_the_steps_are_bounded(monkeypatch, name, value, kept):
    with monkeypatch.context() as patch:
        patch.setattr(module, name, value)
        assert small(b'{"a": 1, "b": "12345678"}') == kept
