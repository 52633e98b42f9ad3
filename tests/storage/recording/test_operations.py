from __future__ import annotations

from itertools import product
from uuid import UUID

import bson
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from storage.recording import truncation as fitting
from storage.recording.documents import ending_fields, start_document
from storage.recording.operations import PRESUMED, Action, Operation
from storage.recording.outbox.batch import write_batch
from tests.storage import any_records
from tests.storage.records import ID, INSTANCE, NOON, counting_ids, kept

START = {"status": "in_flight", "started_at": NOON, "instance_id": UUID(int=7)}
END = {"status": "completed", "end_reason": "completed", "token_usages": [{"id": UUID(int=1), "output_tokens": 0}]}
CRASH = {"status": "failed", "end_reason": "server_crashed", **PRESUMED}
CHECKPOINT = {"token_usages": [{"id": UUID(int=2), "output_tokens": 5}]}

start = Operation(Action.START, ID, START)
end = Operation(Action.END, ID, END)
crash = Operation(Action.AMEND, ID, CRASH)
checkpoint = Operation(Action.AMEND, ID, CHECKPOINT)
FIELDS = {start: START, checkpoint: CHECKPOINT, crash: CRASH, end: END}

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)
STORED = st.dictionaries(st.sampled_from(["a", "b", "schema_version", "status", "request_ids"]), SCALARS)
READ = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)


async def applied(database, *operations):
    for operation in operations:
        assert await write_batch(database, [operation], seconds=5) == []
    return await database.interceptions.find_one()


async def applied_alone(database, *operations):
    """The same, where nothing was written before."""
    await database.interceptions.delete_many({})
    return await applied(database, *operations)


@given(st.sampled_from(Action), st.uuids(), st.dictionaries(st.sampled_from(["a", "b"]), SCALARS))
def test_an_operation_is_decoded_to_itself(action, id_, fields):
    operation = Operation(action, id_, fields)
    assert Operation.decode(operation.record) == operation


def document(operation):
    """What an operation writes, aside from the id."""
    written = operation.record[17:]
    found = bson.decode(written, READ)
    assert len(bson.encode(found, codec_options=READ)) == len(written), "no key stands there twice"
    assert found.pop("_id", operation.id) == operation.id
    return found


@given(any_records.interceptions, any_records.endings, st.booleans())
def test_start_and_end_together_equal_the_end_applied_to_the_start(record, ending, knows):
    fields = start_document(record, instance_id=INSTANCE, new_id=counting_ids())
    began = Operation(Action.START, fields.pop("_id"), fields)
    over = ending_fields(ending, new_id=counting_ids())
    if knows:
        over["credential_hint"] = "sk-b...vwxy"
    ended = Operation(Action.END, began.id, over)
    assert document(began) == kept(fields)
    assert document(began.ended_by(ended)) == document(began) | document(ended)


@given(STORED, STORED)
def test_any_start_may_be_put_together_with_any_end(some, others):
    together = Operation(Action.START, ID, some).ended_by(Operation(Action.END, ID, others))
    assert (together.action, document(together)) == (Action.WHOLE, some | others)


def test_a_start_that_was_cut_says_so_once_together_with_an_end_that_was():
    long = "x" * (fitting.END_BYTES + 1)
    lost = {"schema_version": 1, "status": "completed", "request_ids": [], "response_id": long}
    began = Operation(Action.START, ID, {**START, "schema_version": 1, "request_ids": [], "model": long})
    ended = Operation(Action.END, ID, lost)
    assert document(began)["truncated"]
    assert document(ended) == {**lost, "response_id": "", "truncated": True}
    assert document(began.ended_by(ended)) == {**START, **lost, "model": "", "truncated": True}


@given(st.binary(max_size=200))
def test_what_is_no_operation_is_refused_in_a_known_way(data):
    with pytest.raises((bson.errors.BSONError, ValueError)):
        Operation.decode(data)


def test_an_action_of_another_version_is_refused():
    with pytest.raises(ValueError, match=r"^b'r' stands for no action$"):
        Operation.decode(b"r" + end.record[1:])


@pytest.mark.gen_test
async def test_a_true_end_wins_over_a_presumed_one_and_leaves_no_trace_of_it(database):
    assert await applied(database, start, crash) == {"_id": ID, **START, **CRASH}
    assert await applied(database, end) == {"_id": ID, **START, **END}


@pytest.mark.gen_test
async def test_a_presumed_end_is_not_changed_by_what_comes_before_an_end(database):
    assert await applied(database, start, checkpoint, crash, start, checkpoint) == {
        "_id": ID,
        **START,
        **CHECKPOINT,
        **CRASH,
    }


@pytest.mark.gen_test
async def test_without_a_start_there_is_nothing_to_change(database):
    for operation in (checkpoint, crash, end):
        assert await applied_alone(database, operation) is None, operation


def end_state(actions):
    """What must be there after a start and these, in this order."""
    if end in actions:
        return {**START, **END}
    before_crash = actions[: actions.index(crash)] if crash in actions else actions
    return {**START, **(CHECKPOINT if checkpoint in before_crash else {}), **(CRASH if crash in actions else {})}


@pytest.mark.gen_test
async def test_in_every_order_after_the_start_the_true_end_is_what_remains(database):
    orders = [order for length in range(5) for order in product([start, checkpoint, crash, end], repeat=length)]
    ids = [UUID(int=number) for number in range(len(orders))]
    operations = [
        Operation(operation.action, id_, FIELDS[operation])
        for id_, order in zip(ids, orders, strict=True)
        for operation in (start, *order)
    ]
    assert await write_batch(database, operations, seconds=10) == []
    found = {document.pop("_id"): document async for document in database.interceptions.find()}
    assert found == {id_: end_state(order) for id_, order in zip(ids, orders, strict=True)}
