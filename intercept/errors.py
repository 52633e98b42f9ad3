"""Errors of calls: why a call failed, in plain words, and what messages that come of one cause have in common. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from intercept.records import EndReason


class EndWords(NamedTuple):
    """What an end of a call is called, and what it means."""

    title: str
    meaning: str


ENDS: Final[Mapping[EndReason, EndWords]] = {
    EndReason.CLIENT_DISCONNECTED: EndWords(
        "client stopped",
        "The client closed the connection before the response was complete: the user pressed stop, or the client stopped waiting. The part until then is recorded and costs money.",
    ),
    EndReason.UPSTREAM_ERROR: EndWords(
        "provider's error",
        "The provider responded with an error.",
    ),
    EndReason.UPSTREAM_STREAM_ERROR: EndWords(
        "error in the answer",
        "The provider began its response and then sent an error.",
    ),
    EndReason.UPSTREAM_TRUNCATED: EndWords(
        "answer broke off",
        "The provider's response broke off before its end.",
    ),
    EndReason.UPSTREAM_UNREACHABLE: EndWords(
        "provider not reached",
        "No connection to the provider could be made.",
    ),
    EndReason.UPSTREAM_TIMEOUT: EndWords(
        "provider silent",
        "The provider was silent for longer than upstream-idle-timeout.",
    ),
    EndReason.CIRCUIT_OPEN: EndWords(
        "provider paused",
        "The circuit breaker was open after earlier failures, so the provider was not called.",
    ),
    EndReason.SERVER_SHUTDOWN: EndWords(
        "bridge stopped",
        "The bridge was stopped, and the call did not end within drain-timeout.",
    ),
    EndReason.SERVER_CRASHED: EndWords(
        "bridge crashed",
        "The bridge was killed during the call. It is unknown how it ended for the client.",
    ),
}
"""What an end reason is called and means."""

_STATUSES: Final[Mapping[int, str]] = {
    400: "The provider refused the request as invalid. Its message says what is wrong with it.",
    401: "The provider refused the key. Check the key of the provider.",
    402: "The provider wants to be paid: the account has no credit left.",
    403: "The provider does not allow this with the key: the account, the region or the model.",
    404: "The provider has no such model or resource, or the key may not use it.",
    408: "The provider waited too long for the request.",
    409: "The request is in conflict with another one at the provider.",
    413: "The request is too large for the provider.",
    422: "The provider could not make sense of the request. Its message says what is wrong with it.",
    429: "The provider refused the call: too many requests or tokens in a short time, or the quota is used up.",
    500: "The provider failed. That is not about the request; trying again often helps.",
    502: "The provider, or a proxy before it, failed. Trying again often helps.",
    503: "The provider is unavailable or has too much to do. Trying again later helps.",
    504: "The provider, or a proxy before it, took too long.",
    529: "The provider has too much to do at present. Trying again later helps.",
}
_CLIENT_ERRORS, _SERVER_ERRORS = 400, 500


def explain(end_reason: str, status: int | None) -> str:
    """Return why a call failed; empty for an end reason that is not known."""
    if end_reason == EndReason.UPSTREAM_ERROR and status is not None and status >= _CLIENT_ERRORS:
        kind = "The provider failed." if status >= _SERVER_ERRORS else "The provider refused the request."
        return _STATUSES.get(status, f"{kind} Its message says why.")
    return ENDS[EndReason(end_reason)].meaning if end_reason in ENDS else ""


MAX_READ: Final = 500
"""Characters of a message that are read."""

MAX_TEMPLATE: Final = 200
"""Maximum characters of a template; a longer one ends with an ellipsis."""

_ANY, _NUMBER, _MORE = "*", "#", "\u2026"
_QUOTED = re.compile(r"\"[^\"`]*\"|`[^\"`]*`|\u201c[^\"\u201d]*\u201d|(?<!\w)'[^\"']*'(?!\w)")
_WORD = re.compile(r"\w(?:[\w.,:/-]*\w)?")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_MIN_ID = 6


def template_of(message: str) -> str:
    """Return a message with `*` for quoted parts, ids and names with digits, and `#` for numbers.

    Equal ones come of the same cause; one of a template is the template itself. It takes time in proportion to the message.
    """
    text, before = " ".join(message[:MAX_READ].split()), ""
    while text != before:  # what is left out may leave a pair of quotes
        text, before = _without_differences(text), text
    return text


def _without_differences(text: str) -> str:
    text = _QUOTED.sub(_ANY, text)
    text = _WORD.sub(_plain, text)
    if len(text) <= MAX_TEMPLATE:
        return text
    return text[: MAX_TEMPLATE - len(_MORE)].rstrip() + _MORE


def _plain(match: re.Match[str]) -> str:
    word = match[0]
    has_digits = any(character.isdigit() for character in word)
    has_letters = any(character.isalpha() for character in word)
    if has_digits and has_letters and len(word) >= _MIN_ID:
        return _ANY
    return _DIGITS.sub(_NUMBER, word) if has_digits else word
