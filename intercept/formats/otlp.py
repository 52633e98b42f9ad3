"""Log records of OTLP over HTTP, in protobuf or JSON: their times and attributes. Pure.

Protobuf is read here and not by a library of it, which takes 184 ms and 72 MB for a hostile MiB: records without anything in
them. Here no more than `MAX_FIELDS` fields are looked at.

Sources: OTLP specification 1.9; its `logs.proto` and `common.proto`; Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.json import Decoder

from intercept.formats.json_text import Weight, read_struct, weigh

MAX_FIELDS: Final = 100_000
"""Fields of one body that are read, in protobuf: 0.2 s. A batch of 512 records, the most that exporters send, has 50,000."""

# How a field is written.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES: Final = 10
_MORE: Final = 0x80
# The numbers of fields: of the request, a resource and a scope, of a record, of an attribute, and of its value.
_RESOURCES, _SCOPES, _RECORDS = 1, 2, 2
_TIME, _ATTRIBUTES, _OBSERVED_TIME = 1, 6, 11
_KEY, _VALUE = 1, 2
_STRING, _BOOL, _INT, _DOUBLE = 1, 2, 3, 4

Value: TypeAlias = str | int | float | bool
Attributes: TypeAlias = dict[str, Value]
_Field: TypeAlias = tuple[int, int | memoryview]


class OtlpError(ValueError):
    """A body that is not one of OTLP, or has more than is read."""


class LogRecord(Struct):
    """A log record.

    Attributes:
        time_ns: When it was made, else observed, in nanoseconds of Unix time; 0 where it does not say.
        attributes: Those with a plain value.
    """

    time_ns: int
    attributes: Attributes


def read_logs(body: bytes, *, is_json: bool) -> Iterator[LogRecord]:
    """Read an `ExportLogsServiceRequest`, record by record.

    Raises:
        OtlpError: It is none, or is too much to be read; records before that were returned.
    """
    return _read_json(body) if is_json else _read_protobuf(body)


class _Reader:
    """Reads the fields of messages, `MAX_FIELDS` in all."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, data: memoryview) -> Iterator[_Field]:
        """Return the number and the value of each field: an integer, or bytes. Fixed ones are bytes."""
        at, end = 0, len(data)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise OtlpError(f"it has more than {MAX_FIELDS} fields")
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            if kind == _VARINT:
                value, at = _varint(data, at)
                yield number, value
                continue
            if kind == _BYTES:
                size, at = _varint(data, at)
            elif (size := _SIZES.get(kind, -1)) < 0:
                raise OtlpError(f"a field has the type {kind}")
            if at + size > end:
                raise OtlpError("it ends within a field")
            yield number, data[at : at + size]
            at += size

    def messages(self, data: memoryview, wanted: int) -> Iterator[memoryview]:
        """Return the messages in the fields of one number."""
        return (value for number, value in self.fields(data) if number == wanted and isinstance(value, memoryview))


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[at : at + _MAX_VARINT_BYTES]:
        at += 1
        value |= (byte & ~_MORE) << shift
        if byte < _MORE:
            return value, at
        shift += 7
    raise OtlpError("an integer has no end")


def _read_protobuf(body: bytes) -> Iterator[LogRecord]:
    reader = _Reader()
    for resource in reader.messages(memoryview(body), _RESOURCES):
        for scope in reader.messages(resource, _SCOPES):
            for record in reader.messages(scope, _RECORDS):
                yield _record(reader, record)


def _record(reader: _Reader, data: memoryview) -> LogRecord:
    record = LogRecord(0, {})
    for number, value in reader.fields(data):
        if isinstance(value, int):
            continue
        if number == _TIME or (number == _OBSERVED_TIME and not record.time_ns):
            record.time_ns = int.from_bytes(value, "little")
        elif number == _ATTRIBUTES:
            name, plain = _attribute(reader, value)
            if plain is not None:
                record.attributes[name] = plain
    return record


def _attribute(reader: _Reader, data: memoryview) -> tuple[str, Value | None]:
    name, plain = "", None
    for number, value in reader.fields(data):
        if isinstance(value, int):
            continue
        if number == _KEY:
            name = _text(value)
        elif number == _VALUE:
            plain = _plain(reader, value)
    return name, plain


def _plain(reader: _Reader, data: memoryview) -> Value | None:
    """Read an `AnyValue`; None for lists, maps and bytes."""
    for number, value in reader.fields(data):
        if isinstance(value, int):
            if number == _BOOL:
                return bool(value)
            if number == _INT:
                return value - (1 << 64) if value >> 63 else value
        elif number == _STRING:
            return _text(value)
        elif number == _DOUBLE and len(value) == _SIZES[_FIXED64]:
            return float(struct.unpack("<d", value)[0])
    return None


def _text(data: memoryview) -> str:
    return str(data, "utf-8", "replace")


class _JsonValue(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | int | None = None
    double_value: float | None = None

    @property
    def plain(self) -> Value | None:
        """What it has; None for lists, maps and bytes."""
        if isinstance(number := self.int_value, str):  # as the JSON form of protobuf has 64-bit integers
            number = int(number) if number.removeprefix("-").isdecimal() and len(number) <= _MAX_DIGITS else None
        found = (self.string_value, self.bool_value, number, self.double_value)
        return next((one for one in found if one is not None), None)


class _JsonAttribute(Struct):
    key: str = ""
    value: _JsonValue | None = None


class _JsonRecord(Struct, rename="camel"):
    time_unix_nano: str | int = 0
    observed_time_unix_nano: str | int = 0
    attributes: list[_JsonAttribute] = []


class _JsonScope(Struct, rename="camel"):
    log_records: list[_JsonRecord] = []


class _JsonResource(Struct, rename="camel"):
    scope_logs: list[_JsonScope] = []


class _JsonRequest(Struct, rename="camel"):
    resource_logs: list[_JsonResource] = []


_DECODER: Final = Decoder(_JsonRequest)
_MAX_DIGITS: Final = 20


def _read_json(body: bytes) -> Iterator[LogRecord]:
    if weigh(body) is not Weight.READ:
        raise OtlpError("it has too many values")
    if (request := read_struct(body, _DECODER)) is None:
        raise OtlpError("it is no JSON object")
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                found = ((one.key, one.value.plain) for one in record.attributes if one.value is not None)
                yield LogRecord(
                    _time(record.time_unix_nano) or _time(record.observed_time_unix_nano),
                    {name: value for name, value in found if value is not None},
                )


def _time(nanoseconds: str | int) -> int:
    text = str(nanoseconds)
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else 0
