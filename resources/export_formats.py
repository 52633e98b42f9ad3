"""The formats of an export: lines of JSON, and CSV by RFC 4180 that no spreadsheet takes for formulas. Pure.

Source of what a spreadsheet takes for a formula: OWASP, "CSV Injection". A spreadsheet may also separate cells by other
characters than the file does, as Excel does by the semicolon in many countries: then a cell begins inside a text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

Resource = Mapping[str, Any]

# What makes a spreadsheet compute a cell instead of showing it, in every width that Unicode has of it.
FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
# What a spreadsheet, or who cleans a file for one, may drop in front of it: blanks, quotation marks, what is not seen.
DROPPED = r"\x00-\x08\x0b\x0c\x0e-\x20\"\x7f\x85\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
# The beginning of each cell, however cells are separated.
_CELL_START = re.compile(rf"(\A|[;\t\r\n])([{DROPPED}]*)([{re.escape(FORMULA_STARTS)}])")

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Format:
    """How interceptions, as the API shows them, are written: `head` first, then each list of them by `rows`."""

    content_type: str
    head: bytes
    rows: Callable[[Iterable[Resource]], bytes]


def _tokens(name: str) -> Callable[[Resource], Any]:
    def total(interception: Resource) -> int | None:
        counts = [usage[name] for usage in interception["token_usages"] if usage[name] is not None]
        return sum(counts) if counts else None

    return total


def _tools(interception: Resource) -> str:
    kept = ("provider_tool_call_id", "tool", "input")
    return _encoder.encode([{key: usage[key] for key in kept} for usage in interception["tool_usages"]]).decode()


def _of(name: str, inner: str) -> Callable[[Resource], Any]:
    return lambda interception: (interception[name] or {}).get(inner)


def _plain(name: str) -> Callable[[Resource], Any]:
    return lambda interception: interception[name]


def _prompt(interception: Resource) -> str | None:
    return next((prompt["prompt"] for prompt in interception["user_prompts"]), None)


COLUMNS: Mapping[str, Callable[[Resource], Any]] = MappingProxyType(
    {
        "id": _plain("id"),
        "started_at": _plain("started_at"),
        "upstream_asked_at": _plain("upstream_asked_at"),
        "first_byte_at": _plain("first_byte_at"),
        "ended_at": _plain("ended_at"),
        "status": _plain("status"),
        "end_reason": _plain("end_reason"),
        "initiator_id": _of("initiator", "id"),
        "initiator_username": _of("initiator", "username"),
        "initiator_name": _of("initiator", "name"),
        "api_key_id": _plain("api_key_id"),
        "provider": _plain("provider"),
        "provider_name": _plain("provider_name"),
        "model": _plain("model"),
        "client": _plain("client"),
        "client_session_id": _plain("client_session_id"),
        "session_id": _plain("session_id"),
        "parent_id": _plain("parent_id"),
        "root_id": _plain("root_id"),
        "user_agent": _plain("user_agent"),
        "streaming": _plain("streaming"),
        "credential_kind": _plain("credential_kind"),
        "credential_hint": _plain("credential_hint"),
        "upstream_status": _plain("upstream_status"),
        "upstream_request_id": _plain("upstream_request_id"),
        "error_type": _of("error", "type"),
        "error_message": _of("error", "message"),
        "input_tokens": _tokens("input_tokens"),
        "output_tokens": _tokens("output_tokens"),
        "cache_read_input_tokens": _tokens("cache_read_input_tokens"),
        "cache_write_input_tokens": _tokens("cache_write_input_tokens"),
        "cost_usd": _of("cost", "usd"),
        "prompt": _prompt,
        "tools": _tools,
    }
)
"""The columns of CSV in their order, and what stands in each."""


def ndjson_rows(interceptions: Iterable[Resource]) -> bytes:
    """Write a line of JSON for each."""
    return _encoder.encode_lines(list(interceptions))


def csv_rows(interceptions: Iterable[Resource]) -> bytes:
    """Write a row for each."""
    return _csv([_cell(value(interception)) for value in COLUMNS.values()] for interception in interceptions)


def _csv(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """Nothing is an empty cell. A number or a truth is none that somebody else wrote: it stays as it is."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _harmless(value)
        case _:
            return str(value)


def _harmless(text: str) -> str:
    """Put an apostrophe where a formula would begin, and in front of a tab or a line break that begins the text."""
    shown = _CELL_START.sub(r"\1'\2\3", text)
    return f"'{shown}" if shown.startswith(("\t", "\r", "\n")) else shown


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "ndjson": Format("application/x-ndjson", b"", ndjson_rows),
        "csv": Format("text/csv; charset=utf-8; header=present", _csv([list(COLUMNS)]), csv_rows),
    }
)
"""The formats by name, the default first."""
