from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from msgspec import Struct

from intercept.times import format_time
from resources.fields import TokenCounts, format_decimal, of_fields


class Thing(Struct):
    id: UUID
    at: str
    count: int
    flag: bool
    name: str | None


def test_a_resource_takes_fields_of_the_same_name_and_no_others():
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    record = {"at": at, "count": Int64(2**40), "flag": True, "name": None, "secret": "x", "id": "not shown"}
    thing = of_fields(Thing, record, id=UUID(int=1))
    assert thing == Thing(UUID(int=1), "2026-03-01T12:00:00.000Z", 2**40, True, None)
    assert type(thing.count) is int
    assert "secret" not in msgspec.json.decode(msgspec.json.encode(thing))


def test_a_record_without_a_field_that_is_shown_is_a_fault():
    with pytest.raises(KeyError, match="count"):
        of_fields(Thing, {"at": None}, id=UUID(int=1))


def test_sums_that_are_absent_are_zero():
    assert TokenCounts.of({"input_tokens": Int64(3), "failures": 7}) == TokenCounts(3, 0, 0, 0)


def test_a_decimal_is_the_nearest_double():
    assert format_decimal(Decimal128("0.000000825000")) == 8.25e-07


@pytest.mark.parametrize(("micros", "written"), [(0, ".000Z"), (999, ".000Z"), (250_999, ".250Z")])
def test_a_time_is_cut_to_milliseconds(micros, written):
    assert format_time(datetime(2026, 3, 1, 12, 0, 0, micros, tzinfo=UTC)) == "2026-03-01T12:00:00" + written
