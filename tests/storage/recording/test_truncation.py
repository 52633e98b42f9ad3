import bson
from hypothesis import given
from hypothesis import strategies as st

from storage.recording.operations import encoded

TEXTS = st.text(max_size=30)  # half surrogate pairs included
VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS
CHILDREN = st.fixed_dictionaries({"id": st.integers(0, 9), "text": TEXTS, "metadata": st.just({})})
FIELDS = st.dictionaries(st.sampled_from("abc"), VALUES) | st.fixed_dictionaries(
    {"list": st.lists(CHILDREN, max_size=3), "names": st.lists(TEXTS, max_size=3), "error": st.none() | st.builds(dict)}
)


def texts(value):
    match value:
        case str():
            return len(value.encode())
        case dict():
            return sum(texts(item) for item in value.values())
        case list():
            return sum(texts(item) for item in value if isinstance(item, dict))
    return 0


def storable(value):
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case bool() | None | float():
            return value
        case int():
            return min(max(value, -(2**63)), 2**63 - 1)
        case dict():
            return {key: storable(item) for key, item in value.items()}
    return [storable(item) for item in value]


@given(FIELDS)
def test_what_has_room_is_kept_as_bson_can_hold_it(fields):
    assert bson.decode(encoded(fields, 1_000_000)) == storable(fields)


@given(FIELDS, st.integers(0, 50))
def test_there_is_never_too_much_text_and_where_some_went_it_says_so(fields, most):
    found = bson.decode(encoded(fields, most))
    assert texts(found) <= most
    holders = [(fields, found), *zip(fields.get("list", ()), found.get("list", ()), strict=True)]
    for before, after in holders:
        lost = [key for key, value in before.items() if isinstance(value, str) and value and after[key] == ""]
        assert lost == [] or "truncated" in {**after, **after.get("metadata", {})}


def test_the_largest_texts_go_first():
    fields = {"long": "x" * 30, "short": "y" * 10, "list": [{"text": "z" * 20, "metadata": {}}]}
    assert bson.decode(encoded(fields, 30)) == {
        "long": "",
        "short": "y" * 10,
        "list": [{"text": "z" * 20, "metadata": {}}],
        "truncated": True,
    }
    assert bson.decode(encoded(fields, 10)) == {
        "long": "",
        "short": "y" * 10,
        "list": [{"text": "", "metadata": {"truncated": True}}],
        "truncated": True,
    }


def test_what_was_given_stays_as_it_is():
    fields = {"text": "x" * 30, "metadata": {}, "list": [{"text": "\ud800", "metadata": {}}]}
    encoded(fields, 10)
    assert fields == {"text": "x" * 30, "metadata": {}, "list": [{"text": "\ud800", "metadata": {}}]}
