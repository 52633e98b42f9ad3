"""Which paths below a provider are whole: each segment of a named set of characters, none empty, none that climbs."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Those of RFC 3986 section 3.3 without `;`, behind which some servers look for parameters of the segment.
SEGMENT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+")
# What must not stand there encoded either: another server might decode it once more, or cut the path there.
_UNFIT = re.compile(r"[\x00-\x1f\x7f%;\\#?]")


def find_fault(path: str) -> str:
    """What keeps a percent-encoded path from being served, such as `an empty segment`; empty if nothing does.

    A path that could mean another one to a server behind us (`..`, also encoded) is not served.
    """
    for segment in path.removeprefix("/").split("/"):
        if not segment:
            return "an empty segment"
        if not SEGMENT.fullmatch(segment):
            return "characters that are not allowed there"
        if "%" not in segment:
            if segment in {".", ".."}:
                return "a segment `.` or `..`"
            continue
        try:
            decoded = unquote(segment, errors="strict")
        except UnicodeDecodeError:
            return "percent-encoded bytes that are not UTF-8"
        if _UNFIT.search(decoded):
            return "percent-encoded characters that are not allowed there"
        if not {".", "..", ""}.isdisjoint(decoded.split("/")):
            return "an encoded segment that is empty, `.` or `..`"
    return ""
