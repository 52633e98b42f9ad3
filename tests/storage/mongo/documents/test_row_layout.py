"""Documents of one layout, read without decoding them."""

from uuid import UUID

import bson
import hypothesis.strategies as st
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from hypothesis import given

from storage.mongo.documents.row_layout import BINARY, FLAG, ID, LONG, SAMPLE_ID, RowLayout
from tests.cases import for_each

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


@for_each(
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


def reply(batch, cursor_id=0, name="firstBatch"):
    return RawBSONDocument(as_sent({"cursor": {name: batch, "id": Int64(cursor_id), "ns": "a.b"}, "ok": 1.0}))


@for_each("number", [0, 1, 9, 10, 11, 99, 100, 101, 1234])
def test_all_documents_of_a_reply_are_read(number):
    sent = [{**SAMPLE, "at": Int64(at), "_id": UUID(int=at)} for at in range(number)]
    expected = [(at, UUID(int=at).bytes, 0, 0, False, False) for at in range(number)]
    assert RowLayout(SAMPLE, FORMATS).rows_of(reply(sent)) == expected


def test_a_reply_that_has_not_all_documents_is_an_error():
    layout = RowLayout(SAMPLE, FORMATS)
    for one in (reply([SAMPLE], cursor_id=7), reply([SAMPLE], name="nextBatch")):
        with pytest.raises(ValueError, match="not all documents in one batch"):
            layout.rows_of(one)
    with pytest.raises(ValueError, match="other fields than were asked for"):
        layout.rows_of(reply([SAMPLE] * 11 + [{**SAMPLE, "flag": None}]))


def test_formats_have_to_be_those_of_the_sample():
    for formats in ({**FORMATS, "flag": LONG}, dict(reversed(FORMATS.items())), {"at": LONG}):
        with pytest.raises(ValueError, match="not the formats"):
            RowLayout(SAMPLE, formats)
    with pytest.raises(ValueError, match="not the formats"):
        RowLayout(SAMPLE, FORMATS, {"packed": BINARY + "q"})
    assert RowLayout(SAMPLE, FORMATS).rows(b"") == []
    assert UUID(int=0) == SAMPLE_ID
