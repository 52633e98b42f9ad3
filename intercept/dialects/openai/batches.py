"""OpenAI's batches, files and uploads: their ids show who owns a file; the output of a batch has its usage.

Source: OpenAI API reference, "Batch", "Files" and "Uploads".
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from msgspec.structs import replace

from intercept.apis import RequestSummary
from intercept.dialects.batch_lines import BatchResult, make_result
from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.openai import usage_only
from intercept.dialects.request_bodies import UNNAMED_MODEL, decode_request
from intercept.formats.json_text import read_struct
from intercept.records import Reading, TokenUsage

MAX_BATCH_BYTES: Final = 64 * 1024
"""How much of a batch's description is searched for its files."""


class _Batch(Struct):
    id: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None


class _File(Struct):
    id: str = ""


class _Upload(Struct):
    file: _File | None = None


class _Body(Struct):
    id: str = ""
    model: str = ""
    usage: Raw = Raw()


class _Response(Struct):
    request_id: str = ""
    body: _Body = field(default_factory=_Body)


class _Line(Struct):
    id: str = ""
    custom_id: str = ""
    response: _Response = field(default_factory=_Response)


_BATCH: Final = Decoder(_Batch)
_UPLOAD: Final = Decoder(_Upload)
_LINE: Final = Decoder(_Line)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read the request for a batch, as `RequestParser` says. It names a file and no model."""
    request = decode_request(body, model or UNNAMED_MODEL)
    return request.summary(used_file_id=request.text("input_file_id") or None)


class _WithoutTokens(usage_only.UsageReader):
    """Reads a batch or a file at its creation. The output of a batch has its usage, which is counted there."""

    def result(self) -> Reading:
        return replace(super().result(), token_usages=())


class _CompletedUpload(_WithoutTokens):
    """Reads an upload that was completed. What the call has got is the file in it: its id is that of the response."""

    def result(self) -> Reading:
        reading, upload = super().result(), read_struct(bytes(self._head), _UPLOAD)
        id_ = upload.file.id if upload is not None and upload.file is not None else ""
        return replace(reading, response_id=id_) if 0 < len(id_) <= MAX_NAME else reading


body_reader: Final = _WithoutTokens
completed_upload_reader: Final = _CompletedUpload


def read_files(batch: bytes) -> tuple[str, list[str]]:
    """The id of a batch, and those of the files that it has put out."""
    parsed = read_struct(batch, _BATCH) or _Batch()
    return parsed.id, [id_ for id_ in (parsed.output_file_id, parsed.error_file_id) if id_ and len(id_) <= MAX_NAME]


def read_line(line: bytes) -> BatchResult | None:
    """Read a line of a batch's output; None for a request that got no response, or one without tokens."""
    parsed = read_struct(line, _LINE)
    if parsed is None:
        return None
    body = parsed.response.body
    named = body.id or parsed.response.request_id or parsed.id
    return make_result(parsed.custom_id, named, body.model, body.usage, _usages_of)


def _usages_of(usage: dict[str, Any]) -> list[TokenUsage]:
    used = usage_only.tokens(usage)
    return [] if used is None else [used]
