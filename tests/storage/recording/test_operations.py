from itertools import product
from uuid import UUID

import bson
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from storage.recording.operations import MAX_TEXT_BYTES, RecordAction, RecordOperation
from storage.recording.outbox.writer import write_batch
from tests.storage.recording.writes import checkpoint, end, presumed_end, start
from tests.storage.records import NOON

START = {"started_at": NOON, "instance_id": UUID(int=7)}
CHECKPOINT = {"token_usages": [{"id": UUID(int=2), "output_tokens": 5}]}
CRASH = {"end_reason": "server_crashed", "cache_share": 0.5}
END = {"end_reason": "completed", "token_usages": [{"id": UUID(int=1), "output_tokens": 0}]}

READ = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)


@given(st.sampled_from(RecordAction), st.uuids(), st.dictionaries(st.sampled_from(["a", "b"]), SCALARS))
def test_an_operation_is_decoded_to_itself(action, id_, fields):
    operation = RecordOperation.of(action, id_, fields)
    assert RecordOperation.decode(operation.record) == operation


def test_what_is_too_long_is_cut_and_says_so():
    cut = start(1, model="x" * (MAX_TEXT_BYTES + 1))
    assert bson.decode(cut.record[17:], READ) == {
        "_id": UUID(int=1),
        "status": "in_flight",
        "model": "",
        "truncated": True,
    }


@given(st.binary(max_size=200))
def test_what_is_no_operation_is_refused_in_a_known_way(data):
    with pytest.raises((bson.errors.BSONError, ValueError)):
        RecordOperation.decode(data)


def test_an_action_of_another_version_is_refused():
    with pytest.raises(ValueError, match=r"^b'r' stands for no action$"):
        RecordOperation.decode(b"r" + end(1).record[1:])


def operations(order, number):
    fields = {"start": START, "checkpoint": CHECKPOINT, "crash": {**START, **CRASH}, "end": {**START, **END}}
    makers = {"start": start, "checkpoint": checkpoint, "crash": presumed_end, "end": end}
    return [makers[name](number, **fields[name]) for name in order]


def left_by(order):
    """What a document must have after these, in this order."""
    if "end" in order:
        return {**START, **END, "status": "completed"}
    if "crash" in order:
        return {**START, **CRASH, "status": "failed", "presumed": True}
    if "start" not in order:
        return None
    return {**START, "status": "in_flight", **(CHECKPOINT if "checkpoint" in order[order.index("start") :] else {})}


async def left(database, orders):
    beside = {"changed": False, "was": False}
    found = {document.pop("_id").int: document async for document in database.interceptions.find({}, beside)}
    return [found.get(number) for number in range(len(orders))]


ORDERS = [order for length in range(1, 5) for order in product(["start", "checkpoint", "crash", "end"], repeat=length)]


@pytest.mark.gen_test(timeout=60)
async def test_in_every_order_the_true_end_is_what_remains(database):
    for step in range(4):
        batch = [operations(order, number)[step] for number, order in enumerate(ORDERS) if step < len(order)]
        assert await write_batch(database, batch, seconds=10) == []
    assert await left(database, ORDERS) == [left_by(order) for order in ORDERS]


async def test_in_one_batch_the_true_end_remains_as_well(database):
    batch = [operation for number, order in enumerate(ORDERS) for operation in operations(order, number)]
    assert await write_batch(database, batch, seconds=10) == []
    found = await left(database, ORDERS)
    for order, document in zip(ORDERS, found, strict=True):
        # Starts come first in a batch, so a checkpoint before one is not in vain.
        assert document == left_by(sorted(order, key="start".__ne__)), order
