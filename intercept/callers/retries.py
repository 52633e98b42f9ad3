"""Which try of a call a request is, as far as its client says.

The SDKs that Stainless makes (OpenAI's, Anthropic's and others) count in `X-Stainless-Retry-Count` how often they have tried
before; those of AWS say in `amz-sdk-request` which attempt it is (`attempt=2; max=3`), from one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

COUNT_HEADER: Final = "X-Stainless-Retry-Count"
ATTEMPT_HEADER: Final = "amz-sdk-request"

_COUNT: Final = re.compile(r"\s*([0-9]{1,3})\s*")
_ATTEMPT: Final = re.compile(r"(?:[^;]{0,64};){0,8}\s*attempt=([0-9]{1,3})\s*(?:;|\Z)")


def retry_count(headers: Mapping[str, str]) -> int:
    """Return the number of earlier tries, 0 if the client does not say. Headers are looked up in any case."""
    if COUNT_HEADER in headers and (found := _COUNT.fullmatch(headers[COUNT_HEADER])):
        return int(found[1])
    found = _ATTEMPT.match(headers[ATTEMPT_HEADER]) if ATTEMPT_HEADER in headers else None
    return max(int(found[1]) - 1, 0) if found else 0
