"""Log records of OTLP, written by the library of its makers."""

import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as Record
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs

from intercept.client_events import ClientEvent, ClientEventName, read_event
from intercept.formats.otlp import MAX_FIELDS, LogRecord, OtlpError, read_logs

PLAIN = {"a": "é", "b": True, "c": -3, "d": 2**40, "e": 0.25, "empty": ""}


def written(*records):
    """A request in protobuf with these records, each of a time and attributes, and with much that is not read."""
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    made = [
        Record(
            time_unix_nano=time_ns,
            observed_time_unix_nano=7,
            body=AnyValue(string_value="claude_code.user_prompt"),
            flags=1,
            trace_id=bytes(16),
            attributes=[
                KeyValue(key="list", value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)]))),
                KeyValue(key="none"),
                *(KeyValue(key=name, value=AnyValue(**{kinds[type(one)]: one})) for name, one in attributes.items()),
            ],
        )
        for time_ns, attributes in records
    ]
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=made[:1]), ScopeLogs(log_records=made[1:])])]
    ).SerializeToString()


def in_json(*records):
    """A request in JSON with these records, each of a time and attributes, and with much that is not read."""

    def value(one):
        kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
        return {kinds[type(one)]: str(one) if type(one) is int else one}

    made = [
        {
            "timeUnixNano": str(time_ns),
            "observedTimeUnixNano": "7",
            "body": {"stringValue": "claude_code.user_prompt"},
            "attributes": [
                {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}},
                {"key": "none"},
                *({"key": name, "value": value(one)} for name, one in attributes.items()),
            ],
        }
        for time_ns, attributes in records
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": made}]}]}).encode()


@pytest.mark.parametrize(("write", "is_json"), [(written, False), (in_json, True)])
def test_times_and_plain_attributes_are_read(write, is_json):
    records = [(1_796_306_785_968_000_000, PLAIN), (9, {})]
    expected = [LogRecord(time_ns, attributes) for time_ns, attributes in records]
    assert list(read_logs(write(*records), is_json=is_json)) == expected
    observed = write((0, {}))
    assert [record.time_ns for record in read_logs(observed, is_json=is_json)] == [7]
    assert list(read_logs(b"{}" if is_json else b"", is_json=is_json)) == []


def test_what_is_no_body_of_it_or_too_much_is_an_error():
    cut = written((1, PLAIN))[:-3]
    too_many = b"\n\x00" * (MAX_FIELDS + 1)
    broken = (cut, too_many, b"\x0b", b"\x0a\xff", b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f")
    for body in broken:
        with pytest.raises(OtlpError):
            list(read_logs(body, is_json=False))
    many = b'{"resourceLogs":[' + b",".join([b"{}"] * 600_000) + b"]}"
    for body in (b"", b"[]", b"{", b"[" * 5_000, many):
        with pytest.raises(OtlpError):
            list(read_logs(body, is_json=True))


@given(st.binary(max_size=64), st.integers(0, 200), st.booleans())
def test_whatever_is_sent_is_read_or_refused(piece, place, is_json):
    body = bytearray(in_json((1, PLAIN)) if is_json else written((1, PLAIN)))
    body[place : place + len(piece)] = piece
    try:
        for record in read_logs(bytes(body), is_json=is_json):
            read_event(record)
    except OtlpError:
        pass


SAID = {
    "event.name": "tool_result",
    "session.id": "s1",
    "event.sequence": 6,
    "tool_name": "mcp__git__log",
    "tool_use_id": "toolu_1",
    "success": "false",
    "duration_ms": "39.6",
    "request_id": "req_1",
    "prompt": "a secret",
    "decision": "what the user said",
}


def test_of_an_event_what_is_known_is_read_and_no_text():
    event = read_event(LogRecord(5, SAID))
    assert event == ClientEvent(
        name=ClientEventName.TOOL_RESULT,
        session_id="s1",
        time_ns=5,
        sequence=6,
        request_id="req_1",
        tool_call_id="toolu_1",
        tool="mcp__git__log",
        succeeded=False,
        duration_ms=40,
    )
    codex = {"event.name": "codex.tool_decision", "conversation.id": "c1", "call_id": "call_1", "decision": "approved"}
    read = read_event(LogRecord(0, codex))
    assert (read.name, read.session_id, read.tool_call_id, read.decision) == (
        "tool_decision",
        "c1",
        "call_1",
        "approved",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"event.name": "user_prompt"},
        {"event.name": 3},
        {"session.id": "two words"},
        {"session.id": "x" * 257},
        {"session.id": 1},
    ],
)
def test_other_events_and_those_without_a_session_are_none(change):
    assert read_event(LogRecord(5, SAID | change)) is None


@pytest.mark.parametrize("said", [-1, "x", "nan", "inf", 2.0**60, "9" * 5_000, True])
def test_a_number_that_is_none_is_left_out(said):
    assert read_event(LogRecord(5, SAID | {"duration_ms": said})).duration_ms in {None, 1 if said is True else None}


def test_a_hostile_body_is_left_where_reading_stops():
    body = written((1, PLAIN)) + b"\x0b"
    assert list(islice(read_logs(body, is_json=False), 1)) == [LogRecord(1, PLAIN)]
