from __future__ import annotations

import copy
import pickle
from itertools import islice
from uuid import RFC_4122, UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from identifiers import DRAWN, random_ids

DRAWS = 16


def test_ids_are_uuids_of_version_4_and_none_comes_twice():
    ids = list(islice(random_ids(), DRAWS * DRAWN))
    assert {(type(one), one.version, one.variant) for one in ids} == {(UUID, 4, RFC_4122)}
    assert len(set(ids)) == len(ids)
    assert set(ids).isdisjoint(islice(random_ids(), DRAWN))


def test_each_of_the_other_122_bits_is_as_often_0_as_1():
    count = DRAWS * DRAWN
    ids = list(islice(random_ids(), count))
    ones = [sum(one.int >> bit & 1 for one in ids) / count for bit in range(128)]
    fixed = {bit: share for bit, share in enumerate(ones) if share in {0, 1}}
    assert fixed == {62: 0, 63: 1, 76: 0, 77: 0, 78: 1, 79: 0}
    # Beyond 8 standard deviations: with bits that are fair, not in the age of the universe.
    assert all(abs(share - 0.5) < 8 * 0.5 / count**0.5 for bit, share in enumerate(ones) if bit not in fixed)


def test_an_id_is_like_one_that_was_read():
    one = next(random_ids())
    read = UUID(str(one))
    assert (one, hash(one), one.is_safe, repr(one)) == (read, hash(read), read.is_safe, repr(read))
    assert [copy.deepcopy(one), pickle.loads(pickle.dumps(one))] == [read, read]
    options: CodecOptions[dict[str, object]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
    assert bson.decode(bson.encode({"_id": one}, codec_options=options), options) == {"_id": read}
