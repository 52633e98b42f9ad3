from __future__ import annotations

import copy
import pickle
from uuid import RFC_4122, UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from runtime.process import time_ordered_id

COUNT = 4096


def test_ids_are_uuids_of_version_7_and_none_comes_twice():
    ids = [time_ordered_id(lambda: 0) for _ in range(COUNT)]
    assert {(type(one), one.version, one.variant) for one in ids} == {(UUID, 7, RFC_4122)}
    assert len(set(ids)) == len(ids)


def test_an_id_begins_with_the_milliseconds_of_its_time():
    clock = iter([0, 999_999, 1_000_000, 1_645_557_742_000_999_999, (2**48 - 1) * 1_000_000])
    ids = [time_ordered_id(lambda: next(clock)) for _ in range(5)]
    assert [one.int >> 80 for one in ids] == [0, 0, 1, 0x017F22E279B0, 2**48 - 1]  # RFC 9562, appendix A.6
    assert ids[1:] == sorted(ids[1:])


def test_each_of_the_other_74_bits_is_as_often_0_as_1():
    ids = [time_ordered_id(lambda: 0) for _ in range(COUNT)]
    ones = [sum(one.int >> bit & 1 for one in ids) / COUNT for bit in range(80)]
    fixed = {bit: share for bit, share in enumerate(ones) if share in {0, 1}}
    assert fixed == {62: 0, 63: 1, 76: 1, 77: 1, 78: 1, 79: 0}
    # Beyond 8 standard deviations: with bits that are fair, not in the age of the universe.
    assert all(abs(share - 0.5) < 8 * 0.5 / COUNT**0.5 for bit, share in enumerate(ones) if bit not in fixed)


def test_an_id_is_like_one_that_was_read():
    one = time_ordered_id()
    read = UUID(str(one))
    assert (one, hash(one), one.is_safe, repr(one)) == (read, hash(read), read.is_safe, repr(read))
    assert [copy.deepcopy(one), pickle.loads(pickle.dumps(one))] == [read, read]
    options: CodecOptions[dict[str, object]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
    assert bson.decode(bson.encode({"_id": one}, codec_options=options), options) == {"_id": read}
