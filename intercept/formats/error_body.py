"""The body of a response whose status is an error, whatever the API."""

from __future__ import annotations

from msgspec import Raw, structs

from intercept.dialects.drafts import (
    MAX_ERROR_BYTES,
    MAX_ERROR_MESSAGE,
    MAX_ERROR_TYPE,
    UNNAMED_ERROR,
    name_error,
    read_error,
)
from intercept.formats.json_text import OBJECT, read, read_array, text_of
from intercept.records import ProviderError, Reading


class ErrorReader:
    """Reads the body of an error: JSON of any dialect, or any text.

    Args:
        kind: The type from the head, for a body without one.
    """

    def __init__(self, kind: str = "") -> None:
        self._kind = kind
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Buffer the next bytes of the body; those beyond `MAX_ERROR_BYTES` are ignored."""
        self._body += chunk[: MAX_ERROR_BYTES - len(self._body)]

    def result(self) -> Reading:
        """Return the error, complete if the body is a JSON object that says something."""
        # Google refuses streams of arrays with an array of errors.
        decoded = (
            read(bytes(self._body), OBJECT) or read(next(iter(read_array(bytes(self._body))), Raw()), OBJECT) or {}
        )
        error = _error_in(decoded)
        if error.type == UNNAMED_ERROR and self._kind:
            error = structs.replace(error, type=self._kind[:MAX_ERROR_TYPE])
        if not error.message:
            error = structs.replace(error, message=self._body.decode("utf-8", "replace").strip()[:MAX_ERROR_MESSAGE])
        return Reading(complete=bool(decoded), error=error)


def _error_in(body: dict[str, Raw]) -> ProviderError:
    """Find the error: below `error` in most dialects, elsewhere at the top, as `message` or `detail`."""
    error = body.get("error", Raw())
    if bytes(error).startswith(b"{") and (found := read_error(error)):
        return found
    kind, code, message, detail = (text_of(body.get(name, Raw())) for name in ("type", "code", "message", "detail"))
    return name_error(kind or code, message or detail or text_of(error))
