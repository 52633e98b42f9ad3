"""Synthetic conversations: what a client asked, what the upstream's bytes were, what must be recorded.

Each is a text file below the folder of its API: a sentence, then sections that begin with `== name`.

- `request`: the request body.
- `stream`: the streamed response. `cut` takes its last line end away; `lines end in CRLF` (or `CR`) puts another one.
- `body`: the blocking response that says the same.
- `record`: the expected summary of the request (`stream_options` in base64, as bytes are in JSON), and the one reading that
  stream and body both have.

`<2 MB>` stands for two million characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from intercept.apis import Api, RequestSummary
from intercept.catalog import BY_PATH
from intercept.records import Reading

_SECTION = re.compile(r"^== (\w+)(.*)\n", re.MULTILINE)
_LINE_ENDS = {"lines end in CRLF": "\r\n", "lines end in CR": "\r"}


class Record(msgspec.Struct, forbid_unknown_fields=True):
    request: RequestSummary
    reading: Reading


@dataclass(frozen=True)
class Conversation:
    api: Api
    name: str
    request: bytes
    record: Record
    stream: bytes | None = None
    body: bytes | None = None


@cache
def conversations() -> list[Conversation]:
    folder = Path(__file__).parent
    return [_read(api, path) for api in BY_PATH.values() for path in sorted((folder / api.name).glob("*.txt"))]


def _read(api: Api, path: Path) -> Conversation:
    _, *parts = _SECTION.split(path.read_text("utf-8"))
    sections = {name: _bytes(text, option.strip(" ,")) for name, option, text in zip(*[iter(parts)] * 3, strict=True)}
    record = msgspec.json.decode(sections.pop("record"), type=Record)
    return Conversation(api, path.stem, sections.pop("request"), record, **sections)


def _bytes(text: str, option: str) -> bytes:
    if option == "cut":
        text = text.removesuffix("\n")
    elif option:
        text = text.replace("\n", _LINE_ENDS[option])
    return text.replace("<2 MB>", "x" * 2_000_000).encode()
