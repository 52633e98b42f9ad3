"""Messages of AWS's event stream, as Bedrock sends them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any
from zlib import crc32

_TEXT = 7


def message(
    headers: bytes = b"", payload: bytes = b"", *, total: int | None = None, headers_length: int | None = None
) -> bytes:
    """A message with right checksums; its lengths can be told otherwise than they are."""
    total = 16 + len(headers) + len(payload) if total is None else total
    lengths = struct.pack(">II", total, len(headers) if headers_length is None else headers_length)
    start = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return start + struct.pack(">I", crc32(start))


def header(name: str, value: bytes, kind: int) -> bytes:
    return bytes([len(name.encode())]) + name.encode() + bytes([kind]) + value


def event(kind: str, payload: Any) -> bytes:
    """An event with a JSON payload."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(_texts(headers), json.dumps(payload).encode())


def chunk(inner: Any) -> bytes:
    """An event of InvokeModelWithResponseStream."""
    data = inner if isinstance(inner, bytes) else json.dumps(inner).encode()
    return event("chunk", {"bytes": base64.b64encode(data).decode(), "p": "abcdefghij"})


def exception(kind: str, text: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(_texts(headers), json.dumps({"message": text}).encode())


def error(code: str, text: str) -> bytes:
    return message(_texts({":message-type": "error", ":error-code": code, ":error-message": text}))


def _texts(headers: dict[str, str]) -> bytes:
    return b"".join(
        header(name, struct.pack(">H", len(value.encode())) + value.encode(), _TEXT) for name, value in headers.items()
    )
