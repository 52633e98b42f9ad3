"""Reads short fields of a form with files (`multipart/form-data`, RFC 7578), without copying or decoding the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from intercept.apis import InvalidRequestError
from intercept.formats.content_encoding import has_ascii

FORM_DATA: Final = "multipart/form-data"
"""The content type."""
MAX_PARTS: Final = 1_000
"""Parts of a form."""
MAX_PART_HEAD: Final = 8 * 1024
"""Bytes of the headers of a part."""
MAX_FIELD: Final = 1024
"""Bytes of a field that is read."""
MAX_BOUNDARY: Final = 70
"""Characters of a boundary (RFC 2046, section 5.1.1)."""

NO_END: Final = "the form has a part without an end"
AMBIGUOUS_PART: Final = "the form has a part whose headers parsers read in different ways"
_STEP_BYTES: Final = 64 * 1024
_CHARSET_FIELD: Final = "_charset_"
# Of a field, that it is encoded.
_ENCODED: Final = re.compile(
    rb"^content-(?:transfer-)?encoding[ \t]*:[ \t]*+(?!(?:7bit|8bit|binary|identity)[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_TYPE: Final = re.compile(rb"^content-type[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_FOLDED: Final = re.compile(rb"\n[ \t]")
_DISPOSITION: Final = re.compile(rb"^content-disposition[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


class _Parameter(NamedTuple):
    """How a parameter of a header may look, also within another one, as parsers end a quoted text at different places.

    They differ in what a backslash escapes. `plain` is what all of them read alike.
    """

    anywhere: re.Pattern[str]
    after_semicolon: re.Pattern[str]
    plain: re.Pattern[str]

    @classmethod
    def of(cls, name: str) -> _Parameter:
        return cls(
            re.compile(rf"\b{name}\b[ \t]*[*=]", re.IGNORECASE),
            re.compile(rf";\s*{name}\b[ \t]*[*=]", re.IGNORECASE),
            re.compile(rf';[ \t]*({name})=(?:"([^"\\]*)"|([^\s;"\\]+))[ \t]*(?:;|$)', re.IGNORECASE),
        )


_NAME: Final = _Parameter.of("name")
_BOUNDARY: Final = _Parameter.of("boundary")


def is_form(content_type: str) -> bool:
    """Whether a content type, with or without parameters, is that of a form."""
    return content_type.partition(";")[0].strip().lower() == FORM_DATA


class FormFields:
    """Reads those fields of a form that have one of some names, from bytes that are cut anywhere. Files are not held.

    Args:
        content_type: Has the boundary.
        names: Of the fields.

    Attributes:
        found: The fields so far.
        in_file: Whether a part with a file has begun, or all parts have ended.

    Raises:
        InvalidRequestError: There is no usable boundary.
    """

    def __init__(self, content_type: str, names: Collection[str]) -> None:
        self.found: dict[str, str] = {}
        self.in_file = False
        self._names = names
        self._delimiter = b"\r\n--" + _boundary(content_type)
        self._buffer = bytearray(b"\r\n")
        self._next: Callable[[], bool] = self._read_begin
        self._parts = 0
        self._field: str | None = None
        self._value = bytearray()

    @property
    def has_ended(self) -> bool:
        """Whether all parts have ended."""
        return self._next == self._skip

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidRequestError: It is no form, or has one of the fields more than once: some providers would read the first
                one, others the last.
        """
        self._buffer += piece
        while self._next():
            pass

    def _read_begin(self) -> bool:
        if len(self._buffer) < len(self._delimiter):
            if self._delimiter.startswith(self._buffer):
                return False
        elif self._buffer.startswith(self._delimiter):
            return self._pass(len(self._delimiter), self._read_line_end)
        raise InvalidRequestError("the form does not begin with its boundary")

    def _read_line_end(self) -> bool:
        end = bytes(self._buffer[:2])
        if end == b"--":
            self.in_file = True
            return self._pass(2, self._skip)
        if end == b"\r\n":
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise InvalidRequestError(f"the form has more than {MAX_PARTS} parts")
            return self._pass(0, self._read_head)
        if len(end) == len(b"\r\n") or end not in (b"", b"\r", b"-"):
            raise InvalidRequestError("the form has a line that is not ended by its boundary")
        return False

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_PART_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_PART_HEAD:
                raise InvalidRequestError("the form has a part without an end")
            return False
        head = bytes(self._buffer[:end]).replace(b"\r\n", b"\n")
        name, is_file = _disposition(head)
        self.in_file = self.in_file or is_file
        self._field = name if name in self._names else None
        if name == _CHARSET_FIELD or (self._field is not None and not _is_plain(head)):
            raise InvalidRequestError(AMBIGUOUS_PART)
        if name in self.found:
            raise InvalidRequestError(f"{name!r} is there more than once: parsers differ in which one counts")
        # The line end before the content may be that of the next delimiter too, where there is no content.
        return self._pass(end + 2, self._read_content)

    def _read_content(self) -> bool:
        end = self._buffer.find(self._delimiter)
        size = end if end >= 0 else max(len(self._buffer) - len(self._delimiter) + 1, 0)
        if self._field is not None and len(self._value) <= MAX_FIELD + 2:
            self._value += self._buffer[:size]
        if end < 0:
            del self._buffer[:size]
            return False
        if self._field is not None:
            self.found[self._field] = _text(bytes(self._value[2 : MAX_FIELD + 3]), self._field)
        self._field, self._value = None, bytearray()
        return self._pass(end + len(self._delimiter), self._read_line_end)

    def _skip(self) -> bool:
        self._buffer.clear()
        return False

    def _pass(self, size: int, then: Callable[[], bool]) -> bool:
        del self._buffer[:size]
        self._next = then
        return True


def read_fields(body: bytes, content_type: str, names: Collection[str]) -> dict[str, str]:
    """Read those fields of a whole form that have one of some names.

    Raises:
        InvalidRequestError: As of `FormFields`, or the form has no end.
    """
    fields = FormFields(content_type, names)
    view = memoryview(body)
    for at in range(0, len(body), _STEP_BYTES):
        fields.feed(bytes(view[at : at + _STEP_BYTES]))
    if not fields.has_ended:
        raise InvalidRequestError(NO_END)
    return fields.found


def _parameter(header: str, pattern: _Parameter) -> str | None:
    """The value of a parameter, "" without one; None where parsers may find another one."""
    first, found = pattern.anywhere.search(header), pattern.plain.search(header)
    if first is None:
        return ""
    if found is None or found.start(1) != first.start() or len(pattern.after_semicolon.findall(header)) > 1:
        return None
    return str(found[2] if found[2] is not None else found[3])


def _boundary(content_type: str) -> bytes:
    boundary = _parameter(content_type, _BOUNDARY) or ""
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise InvalidRequestError("the form has no usable boundary")
    return boundary.encode()


def _is_plain(head: bytes) -> bool:
    """Whether nobody decodes the content of a part, by these headers."""
    types = (found.decode("latin-1") for found in _TYPE.findall(head))
    return _ENCODED.search(head) is None and all(map(has_ascii, types))


def _disposition(head: bytes) -> tuple[str, bool]:
    """The name of a part, and whether it is a file. The lines of its head end with LF.

    Raises:
        InvalidRequestError: A provider might read another name, and so another model than the one that is known here.
    """
    found = _DISPOSITION.findall(head)
    if len(found) > 1 or b"\r" in head or _FOLDED.search(head):
        raise InvalidRequestError(AMBIGUOUS_PART)
    if not found:
        return "", False
    text = found[0].decode("utf-8", "replace").strip()
    name = _parameter(text, _NAME)
    if name is None:
        raise InvalidRequestError(AMBIGUOUS_PART)
    return name, "filename" in text


def _text(value: bytes, name: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name} is not valid UTF-8") from error
    if len(value) > MAX_FIELD:
        raise InvalidRequestError(f"{name} is too long")
    return text
