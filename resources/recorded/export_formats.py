"""The formats of an export: lines of JSON, and CSV by RFC 4180 that no spreadsheet takes for formulas. Pure.

Source of what a spreadsheet takes for a formula: OWASP, "CSV Injection". A spreadsheet may also separate cells by other
characters than the file does, as Excel does by the semicolon in many countries: then a cell begins inside a text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs

from resources.fields import TokenCounts, struct_in
from resources.recorded.interceptions import Interception

# What makes a spreadsheet compute a cell instead of showing it, in every width that Unicode has of it.
FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
# What a spreadsheet, or who cleans a file for one, may drop in front of it: blanks, quotation marks, what is not seen.
DROPPED = r"\x00-\x08\x0b\x0c\x0e-\x20\"\x7f\x85\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
# The beginning of each cell, however cells are separated.
_CELL_START = re.compile(rf"(\A|[;\t\r\n])([{DROPPED}]*)([{re.escape(FORMULA_STARTS)}])")

CSV_TYPE = "text/csv; charset=utf-8; header=present"

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Format:
    """How interceptions are written: `head` first, then each list of them by `rows`."""

    content_type: str
    head: bytes
    rows: Callable[[Iterable[Interception]], bytes]


def _same(*names: str) -> dict[str, Callable[[Interception], Any]]:
    """Columns that are called like the fields that stand in them."""
    return {name: attrgetter(name) for name in names}


def _tokens(name: str) -> Callable[[Interception], Any]:
    def total(interception: Interception) -> int | None:
        counts = [count for usage in interception.token_usages if (count := getattr(usage, name)) is not None]
        return sum(counts) if counts else None

    return total


def _tools(interception: Interception) -> str:
    kept = ("provider_tool_call_id", "tool", "input")
    return _encoder.encode([{key: getattr(usage, key) for key in kept} for usage in interception.tool_usages]).decode()


def _of(name: str, inner: str) -> Callable[[Interception], Any]:
    return lambda interception: getattr(getattr(interception, name), inner, None)


COLUMNS: Mapping[str, Callable[[Interception], Any]] = {
    **_same("id", "started_at", "upstream_asked_at", "first_byte_at", "ended_at", "status", "end_reason"),
    "initiator_id": _of("initiator", "id"),
    "initiator_username": _of("initiator", "username"),
    "initiator_name": _of("initiator", "name"),
    **_same("api_key_id", "provider", "provider_name", "model", "client", "client_session_id", "session_id"),
    **_same("parent_id", "root_id", "user_agent", "streaming", "credential_kind", "credential_hint"),
    **_same("upstream_status", "upstream_request_id"),
    "error_type": _of("error", "type"),
    "error_message": _of("error", "message"),
    **{name: _tokens(name) for name in TokenCounts.__struct_fields__},
    "cost_usd": _of("cost", "usd"),
    "prompt": lambda interception: next((one.prompt for one in interception.user_prompts), None),
    "tools": _tools,
    "group_ids": lambda interception: " ".join(map(str, interception.group_ids)),
}
"""The columns of CSV in their order, and what stands in each."""


def flat(kind: type[Struct], value: Struct | None) -> Iterator[tuple[str, object]]:
    """Yield the fields of a struct as columns: those of a struct in it by their path, and lists of words as one text.

    What is absent, or by a name that is not known before, is left out. Without the struct all columns are empty.
    """
    for one in structs.fields(kind):
        inner = getattr(value, one.name, None)
        if (part := struct_in(one.type)) is not None and inner is not UNSET:
            yield from ((f"{one.encode_name}.{name}", cell) for name, cell in flat(part, inner))
        elif inner is not UNSET and not isinstance(inner, dict):
            yield one.encode_name, " ".join(map(str, inner)) if isinstance(inner, list) else inner


def write_csv(rows: Iterable[Iterable[object]]) -> bytes:
    """Write rows as CSV (RFC 4180). Decimals are exact, and no text is taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    """None is an empty cell. Numbers and booleans come from the bridge itself: they stay as they are."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return harmless(value)
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def harmless(text: str) -> str:
    """Put an apostrophe where a formula would begin, and in front of a tab or a line break that begins the text."""
    escaped = _CELL_START.sub(r"\1'\2\3", text)
    return f"'{escaped}" if escaped.startswith(("\t", "\r", "\n")) else escaped


FORMATS: Mapping[str, Format] = {
    "ndjson": Format("application/x-ndjson", b"", lambda calls: _encoder.encode_lines(list(calls))),
    "csv": Format(
        CSV_TYPE,
        write_csv([COLUMNS]),
        lambda calls: write_csv([value(call) for value in COLUMNS.values()] for call in calls),
    ),
}
"""The formats by name, the default first."""
