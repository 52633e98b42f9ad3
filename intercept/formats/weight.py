"""How much is in some JSON: what has little in it is light, and is decoded at once, whatever its size."""

from __future__ import annotations

import re
from collections.abc import Generator
from itertools import islice
from typing import Final

from intercept.formats.json_walk import Body
from intercept.formats.steps import finish

LIGHT_BYTES: Final = 128 * 1024
"""A body up to this size is decoded at once if few surrogates are in it."""
LIGHT_SURROGATES: Final = 4096
"""Escapes of surrogates of a body that is decoded at once: half a pair takes a microsecond to be replaced."""
LIGHT_MAX_BYTES: Final = 1024 * 1024
"""A body up to this size is decoded at once if there is little in it."""
LIGHT_BODY_VALUES: Final = 16 * 1024
"""Objects, arrays and commas of such a body."""
LIGHT_BODY_ESCAPES: Final = 128 * 1024
"""Backslashes of such a body."""
LIGHT_VALUES: Final = 64 * 1024
"""Objects, arrays and commas of a response that is read."""
LIGHT_ESCAPES: Final = 256 * 1024
"""Backslashes of such a response."""
LIGHT_TEXT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of it in strings with escapes or characters beyond ASCII, which images have not, to the next 64 KiB."""

_COUNTED_BYTES: Final = 64 * 1024
_SURROGATE: Final = re.compile(rb"\\u[dD]")


class Light(bytes):
    """A body that is light, so it need not be checked again."""


def is_light(body: Body) -> bool:
    """Say whether a body may be decoded at once: that takes some milliseconds and little more than its own memory."""
    if isinstance(body, Light):
        return True
    if len(body) > LIGHT_MAX_BYTES or _has_many_surrogates(body):
        return False
    return len(body) <= LIGHT_BYTES or finish(counted(body, LIGHT_BODY_VALUES, LIGHT_BODY_ESCAPES))


def counted(
    data: Body, max_values: int = LIGHT_VALUES, max_escapes: int = LIGHT_ESCAPES
) -> Generator[None, None, bool]:
    """Say, in steps, whether some JSON is decoded in milliseconds, as there is little in it but plain text.

    Args:
        data: The JSON, of any size.
        max_values: Objects, arrays and commas of it.
        max_escapes: Backslashes of it. The rest is bounded by `LIGHT_TEXT_BYTES`.
    """
    values = escapes = text = run = 0
    plain = True  # what stands behind the last quotation mark, of which there are `run` bytes
    for start in range(0, len(data), _COUNTED_BYTES):
        piece = data[start : start + _COUNTED_BYTES]
        values += sum(map(piece.count, (b",", b"[", b"{")))
        escapes += piece.count(b"\\")
        run += len(piece)
        plain = plain and _is_plain(piece)
        if (last := piece.rfind(b'"')) >= 0:
            text += 0 if plain else run
            run, plain = 0, _is_plain(piece[max(last - 1, 0) :])
        if values > max_values or escapes > max_escapes or text > LIGHT_TEXT_BYTES:
            return False
        yield
    return True


def _has_many_surrogates(data: Body) -> bool:
    if len(data) <= LIGHT_SURROGATES * len(rb"\ud83d"):
        return False
    if data.count(b"\\") <= LIGHT_SURROGATES:
        return False
    return sum(1 for _ in islice(_SURROGATE.finditer(data), LIGHT_SURROGATES + 1)) > LIGHT_SURROGATES


def _is_plain(piece: Body) -> bool:
    return b"\\" not in piece and piece.isascii()
