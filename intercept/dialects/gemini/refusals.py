"""What Google says of a refusal in the body alone: that a key is not valid, and when to come back.

Source: Google's AIP-193, "Errors", with `google.rpc.ErrorInfo` and `google.rpc.RetryInfo` among the details.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.json import Decoder

from intercept.formats.json_text import read_array, read_struct

MAX_REFUSAL_BYTES: Final = 16 * 1024
"""How much of a refusal is read."""

_INVALID_KEY: Final = "API_KEY_INVALID"
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


class GeminiRefusal(NamedTuple):
    """Whether the key is not valid, and after how many seconds to try again; None where it does not say."""

    is_invalid_key: bool = False
    retry_after: float | None = None


class _Detail(Struct):
    reason: str = ""
    retryDelay: str = ""  # noqa: N815 - the member's name


class _Error(Struct):
    details: list[_Detail] | None = None


class _Body(Struct):
    error: _Error | None = None


_BODY: Final = Decoder(_Body)


def read_refusal(body: bytes) -> GeminiRefusal:
    """Read the body of a refusal, which is an object, or an array of one where an array was to be streamed."""
    decoded = read_struct(body, _BODY)
    if decoded is None:
        decoded = read_struct(next(iter(read_array(body)), b""), _BODY)
    details = (decoded.error.details if decoded and decoded.error else None) or []
    delays = [float(found[1]) for one in details if (found := _SECONDS.fullmatch(one.retryDelay))]
    return GeminiRefusal(any(one.reason == _INVALID_KEY for one in details), delays[0] if delays else None)
