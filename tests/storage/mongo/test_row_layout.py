"""Documents of one layout, read without decoding them."""

from uuid import UUID

import bson
import hypothesis.strategies as st
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from hypothesis import given

from storage.mongo.row_layout import BINARY, FLAG, ID, LONG, SAMPLE_ID, RowLayout

FORMATS = {"at": LONG, "_id": ID, "packed": BINARY + "qq?", "flag": FLAG}
SAMPLE = {"at": Int64(), "_id": SAMPLE_ID, "packed": b"\0" * 17, "flag": False}
OPTIONS = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
longs = st.integers(-(2**63), 2**63 - 1)
documents = st.builds(
    lambda at, id_, packed, flag: {"at": Int64(at), "_id": id_, "packed": packed, "flag": flag},
    longs,
    st.uuids(),
    st.tuples(longs, longs, st.booleans()),
    st.booleans(),
)


def as_sent(document):
    """As MongoDB sends it, `_id` where it stands."""
    return bson.encode({"": document}, codec_options=OPTIONS)[6:-1]


def encoded(document):
    first, second, flag = document["packed"]
    packed = b"".join(number.to_bytes(8, "little", signed=True) for number in (first, second)) + bytes([flag])
    return as_sent({**document, "packed": packed})


@given(st.lists(documents, max_size=20))
def test_rows_are_the_values_of_the_documents(sent):
    data = b"".join(map(encoded, sent))
    assert RowLayout(SAMPLE, FORMATS).rows(data) == [
        (one["at"], one["_id"].bytes, *one["packed"], one["flag"]) for one in sent
    ]
    assert RowLayout(SAMPLE, FORMATS, {"packed": BINARY + "8xq?"}).rows(data) == [
        (one["at"], one["_id"].bytes, *one["packed"][1:], one["flag"]) for one in sent
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"at": 1.5, "_id": SAMPLE_ID, "packed": b"\0" * 17, "flag": False},
        {"at": Int64(), "_ie": SAMPLE_ID, "packed": b"\0" * 17, "flag": False},
        {"at": Int64(), "_id": SAMPLE_ID, "packed": b"\0" * 18, "flag": False},
        {"_id": SAMPLE_ID, "at": Int64(), "packed": b"\0" * 17, "flag": False},
        {"at": Int64(), "_id": SAMPLE_ID, "packed": b"\0" * 17, "flag": None},
    ],
)
def test_a_document_that_is_laid_out_differently_is_an_error(other):
    data = as_sent(SAMPLE) + as_sent(other)
    with pytest.raises(ValueError, match="other fields than were asked for"):
        RowLayout(SAMPLE, FORMATS).rows(data)


def test_formats_have_to_be_those_of_the_sample():
    for formats in ({**FORMATS, "flag": LONG}, dict(reversed(FORMATS.items())), {"at": LONG}):
        with pytest.raises(ValueError, match="not the formats"):
            RowLayout(SAMPLE, formats)
    with pytest.raises(ValueError, match="not the formats"):
        RowLayout(SAMPLE, FORMATS, {"packed": BINARY + "q"})
    assert RowLayout(SAMPLE, FORMATS).rows(b"") == []
    assert UUID(int=0) == SAMPLE_ID
