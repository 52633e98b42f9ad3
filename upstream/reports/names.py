"""By which names two sources mean the same model. Pure."""

from __future__ import annotations

import re
from typing import Final

_BEFORE: Final = re.compile(
    r"^(?:(?:us|eu|apac|jp|au|global|us-gov)\.)?(?:anthropic|openai|amazon|meta|mistral|cohere|ai21|deepseek|qwen|google)\."
)
_BEHIND: Final = re.compile(r"(?:[-@]latest|-v\d+(?::\d+)?|:\d+)$")
_DATE: Final = re.compile(r"[-@ ]20\d\d-?[01]\d-?[0-3]\d(?!\d)")
_WORDS: Final = re.compile(r"[a-z]+|\d+")


def model_key(name: str) -> str:
    """What names of one model have in common: without date, region and version of the API; words sorted, numbers in order.

    >>> model_key("us.anthropic.claude-sonnet-4-20250514-v1:0") == model_key("Claude4Sonnet")
    True
    """
    text = _BEFORE.sub("", name.lower().rpartition("/")[2])
    text = _DATE.sub("", _BEHIND.sub("", text))
    words = _WORDS.findall(text)
    letters = "".join(sorted(word for word in words if not word.isdecimal()))
    return " ".join(filter(None, (letters, *(word for word in words if word.isdecimal())))) or name
