"""Bytes that look like a response and were written by no provider: for readers that must take anything."""

import json

from hypothesis import strategies as st


def json_values(names, texts):
    """JSON of any shape, made of the names and texts that a reader looks for, told as words."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-2, 2**65)
        | st.floats(allow_nan=False)
        | st.sampled_from([*texts.split(), "", "\ud83d", "\0"])
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*names.split(), "$x", "\0"]), inner, max_size=5)
        ),
        max_leaves=15,
    )


def bodies(names, texts):
    return st.binary() | json_values(names, texts).map(lambda value: json.dumps(value).encode())


def streams(names, texts):
    name = st.sampled_from([*texts.split(), ""]).map(str.encode)
    event = st.builds(b"event: %b\ndata: %b\n\n".__mod__, st.tuples(name, bodies(names, texts)))
    return st.binary() | st.lists(event, max_size=5).map(b"".join)


def read(reader, body, cut=0):
    """Feed a body in two pieces."""
    reader.feed(body[:cut])
    reader.feed(body[cut:])
    return reader.result()


def is_storable(value):
    """Say whether MongoDB can keep a value: integers of 64 bits, UTF-8, and names that are no operators."""
    if isinstance(value, dict):
        return all(
            is_storable(name) and "\0" not in name and not name.startswith("$") and is_storable(item)
            for name, item in value.items()
        )
    if isinstance(value, list | tuple):
        return all(map(is_storable, value))
    if isinstance(value, str):
        return value == value.encode("utf-8", "replace").decode()
    return not isinstance(value, int) or abs(value) < 2**63
