"""APIs of which only model and usage are recorded: embeddings, moderations, reranking, images, sound ..

Sources: OpenAI's API reference ("Embeddings", "Moderations", "Images", "Audio"); Anthropic's ("Count tokens", "Message
batches"); Cohere's ("Rerank", `meta.billed_units`); those of Jina,
Voyage and vLLM, whose usage may have a total alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from intercept.apis import FURTHER_MODELS, InvalidRequestError, RequestSummary
from intercept.dialects.drafts import Draft, read_error
from intercept.dialects.readers import StreamReader
from intercept.dialects.request_bodies import MAX_MODEL, UNNAMED_MODEL, decode_request
from intercept.formats.json_text import MAX_TAIL_BYTES, as_object, read_first_members, read_last_members, read_struct
from intercept.formats.streams import Event
from intercept.records import Reading, TokenUsage
from intercept.tokens import count, openai_tokens, storable

_SPACE: Final = b" \t\r\n"
_LARGE: Final = ("data", "results")
_ENDS: Final = (".completed", ".done")  # of the type of the event that ends a stream


class _Reported(Struct):
    """A response, or an event of a stream."""

    id: str | None = None
    model: str | None = None
    type: str | None = None
    usage: Raw = Raw()
    meta: Raw = Raw()
    error: Raw = Raw()


class _Meta(Struct):
    """Cohere's usage: what was used, and what is billed."""

    tokens: Raw = Raw()
    billed_units: Raw = Raw()


_REPORTED: Final = Decoder(_Reported)
_META: Final = Decoder(_Meta)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says."""
    return decode_request(body, model or UNNAMED_MODEL).summary()


def parse_form(fields: Mapping[str, str], model: str = "") -> RequestSummary:
    """Read the fields of a request that is a form with files, as `FormParser` says."""
    named = fields.get("model", "")
    if len(named) > MAX_MODEL:
        raise InvalidRequestError(f"model is too long: at most {MAX_MODEL} characters")
    is_stream = fields.get("stream", "").strip().lower() in ("true", "1")
    others = tuple(fields[name] for name in FURTHER_MODELS if name in fields)
    return RequestSummary(
        model=named if named.strip() else model or UNNAMED_MODEL, other_models=others, stream=is_stream
    )


def parse_image_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request for an image, as `RequestParser` says."""
    return _of_image(parse_request(body, model))


def parse_image_form(fields: Mapping[str, str], model: str = "") -> RequestSummary:
    """Read the same of a form, as `FormParser` says."""
    return _of_image(parse_form(fields, model))


def _of_image(summary: RequestSummary) -> RequestSummary:
    """Which model draws an image where none is named depends on the other members (OpenAI, "Create image"), so any may."""
    return replace(summary, other_models=None) if summary.model == UNNAMED_MODEL else summary


def tokens(usage: dict[str, Any]) -> TokenUsage | None:
    """Read a usage object; None if it is empty.

    One without counts (a duration, a number of searches) is kept as it is.
    """
    for incoming, outgoing in ("prompt", "completion"), ("input", "output"):
        if tokens := openai_tokens(usage, incoming, outgoing):
            return tokens
    if not usage:
        return None
    return TokenUsage(provider_response_id="", input_tokens=count(usage.get("total_tokens")), usage=storable(usage))


def _add_reported(data: _Reported, draft: Draft) -> None:
    draft.identify(data.id, data.model)
    draft.fail(read_error(data.error))
    usage = draft.read_usage(data.usage)
    if not usage and (meta := read_struct(data.meta, _META)) is not None:
        usage = _with_counts(draft.read_usage(meta.tokens)) or draft.read_usage(meta.billed_units)
    draft.tokens = tokens(usage) or draft.tokens


def _with_counts(usage: dict[str, Any]) -> dict[str, Any]:
    return as_object(usage) if any(count(value) is not None for value in usage.values()) else {}


class UsageReader:
    """Reads a body of any length and kind, of which it holds both ends. A body that is no JSON object is not read."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._length = 0
        self._is_object: bool | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self._is_object is None and (begun := chunk.lstrip(_SPACE)):
            self._is_object = begun.startswith(b"{")
        if self._is_object:
            self._length += len(chunk)
            self._head += chunk[: MAX_TAIL_BYTES - len(self._head)]
            self._tail += chunk
            if len(self._tail) > 2 * MAX_TAIL_BYTES:
                del self._tail[:-MAX_TAIL_BYTES]

    def result(self) -> Reading:
        """Return what the ends of the body say."""
        if not self._is_object:
            return Reading(open_ended=self._is_object is not None)
        draft = Draft()
        if self._length <= MAX_TAIL_BYTES:
            whole = read_struct(bytes(self._tail), _REPORTED)
            if whole is not None:
                _add_reported(whole, draft)
            draft.complete = whole is not None
            return draft.reading()
        tail = bytes(self._tail[-MAX_TAIL_BYTES:]).rstrip(_SPACE)
        for name in ("model", "usage", "meta"):
            if not draft.complete and (data := read_last_members(tail, name, _REPORTED)) is not None:
                _add_reported(data, draft)
                draft.complete = draft.tokens is not None
        # Jina's usage stands before the data.
        if draft.tokens is None and (data := read_first_members(bytes(self._head), _LARGE, _REPORTED)) is not None:
            _add_reported(data, draft)
        # Whether the rest of it was JSON is not known.
        draft.open_ended = tail.endswith(b"}")
        return draft.reading()


class _Stream(StreamReader):
    """Reads a stream of events, of which the last one has the usage."""

    def _add_event(self, event: Event) -> None:
        if event.oversized:
            data = read_last_members(event.data, "usage", _REPORTED)
        else:
            data = read_struct(event.data, _REPORTED)
        if data is not None:
            _add_reported(data, self._draft)
            self._draft.complete = self._draft.complete or (data.type or event.name).endswith(_ENDS)
        self._draft.open_ended = True


stream_reader: Final = _Stream
body_reader: Final = UsageReader
