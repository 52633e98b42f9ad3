"""Reads short fields of a form with files (`multipart/form-data`, RFC 7578), without copying or decoding the files."""

from __future__ import annotations

import re
from collections.abc import Collection
from email.message import Message
from typing import Final

from intercept.apis import InvalidRequestError
from intercept.formats.large_bodies import Body

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

_DISPOSITION: Final = re.compile(rb"^content-disposition[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


def is_form(content_type: str) -> bool:
    """Whether a content type, with or without parameters, is that of a form."""
    return content_type.partition(";")[0].strip().lower() == FORM_DATA


def read_fields(body: Body, content_type: str, names: Collection[str]) -> dict[str, str]:
    """Read those fields of a form that have one of some names.

    Raises:
        InvalidRequestError: It is no form as `content_type` says, or has one of these fields more than once: some providers
            would read the first one, others the last.
    """
    delimiter = b"--" + _boundary(content_type)
    if not body.startswith(delimiter):
        raise InvalidRequestError("the form does not begin with its boundary")
    fields: dict[str, str] = {}
    at = len(delimiter)
    for _ in range(MAX_PARTS):
        if body.startswith(b"--", at):
            return fields
        if not body.startswith(b"\r\n", at):
            raise InvalidRequestError("the form has a line that is not ended by its boundary")
        head_end = body.find(b"\r\n\r\n", at, at + MAX_PART_HEAD)
        end = body.find(b"\r\n" + delimiter, max(head_end, at))
        if head_end < 0 or end < 0:
            raise InvalidRequestError("the form has a part without an end")
        name = _name(bytes(body[at:head_end]))
        if name in names:
            if name in fields:
                raise InvalidRequestError(f"{name!r} is there more than once: parsers differ in which one counts")
            fields[name] = _text(bytes(body[head_end + 4 : min(end, head_end + 5 + MAX_FIELD)]), name)
        at = end + 2 + len(delimiter)
    raise InvalidRequestError(f"the form has more than {MAX_PARTS} parts")


def _parameter(header: str, name: str) -> str:
    message = Message()
    message["content-type"] = header
    found = message.get_param(name, "")
    return found if isinstance(found, str) else ""


def _boundary(content_type: str) -> bytes:
    boundary = _parameter(content_type, "boundary")
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise InvalidRequestError("the form has no usable boundary")
    return boundary.encode()


def _name(head: bytes) -> str:
    found = _DISPOSITION.search(head.replace(b"\r\n", b"\n"))
    return _parameter(found[1].decode("utf-8", "replace").strip(), "name") if found else ""


def _text(value: bytes, name: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name} is not valid UTF-8") from error
    if len(value) > MAX_FIELD:
        raise InvalidRequestError(f"{name} is too long")
    return text
