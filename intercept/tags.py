"""Tags of a call, by which costs are separated: a project, an environment, a cost centre.

They come in the header `X-AIBridge-Tags: project=apollo,env=ci`, which is for the bridge alone and goes no further, and in
the `metadata` of a body: of OpenAI's APIs an object of texts ("Metadata": up to 16 pairs, names of 64 and values of 512
characters), of Anthropic's the `user_id` ("an external identifier for the user who is associated with the request").
The header comes first.

A header that is wrong is refused, as its sender means the bridge; of a body what does not fit is left out, as it is meant
for the provider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from intercept.apis import InvalidRequestError
from intercept.formats.json_text import OBJECT, TEXT, read, starts_with
from intercept.refusals import Rule

HEADER: Final = "X-AIBridge-Tags"
MAX_TAGS: Final = 16
MAX_VALUE: Final = 128
"""Characters of a value."""
MAX_METADATA_BYTES: Final = 64 * 1024
"""The largest `metadata` that is read."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_VALUE: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f,\u2028\u2029\ud800-\udfff]{{1,{MAX_VALUE}}}")
_ASCII: Final = re.compile(r"[ -~]*")
# What Claude Code has as `user_id`: a name of its session, which differs from call to call.
_OF_SESSION: Final = re.compile(r"\s*\{|.*_session_", re.DOTALL)


def read_tags(headers: Mapping[str, str]) -> dict[str, str]:
    """Read the tags of a header, looked up in any case; names become lower case.

    Raises:
        InvalidRequestError: It is not a list of tags.
    """
    tags: dict[str, str] = {}
    if HEADER not in headers:
        return tags
    for part in filter(None, map(str.strip, headers[HEADER].split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.fullmatch(name):
            raise _invalid(
                f"{part[:60]!r} is no tag. A tag is NAME=VALUE; a name has up to 40 characters of a-z 0-9 _ -"
            )
        if not (_VALUE.fullmatch(value) and _ASCII.fullmatch(value)):
            raise _invalid(f"the value of {name} must have 1 to {MAX_VALUE} characters of ASCII, and no comma")
        if name.lower() in tags:
            raise _invalid(f"{name} is there more than once")
        tags[name.lower()] = value
    if len(tags) > MAX_TAGS:
        raise _invalid(f"has {len(tags)} tags; at most {MAX_TAGS} are allowed")
    return tags


def _invalid(message: str) -> InvalidRequestError:
    return InvalidRequestError(f"{HEADER}: {message}", rule=Rule.INVALID_TAGS)


def metadata_tags(metadata: Raw) -> dict[str, str]:
    """Read tags of the `metadata` of a body, the first `MAX_TAGS` that fit; none of what is no object, or too large."""
    if not starts_with(metadata, b"{") or len(memoryview(metadata)) > MAX_METADATA_BYTES:
        return {}
    tags: dict[str, str] = {}
    for name, raw in (read(metadata, OBJECT) or {}).items():
        value = (read(raw, TEXT) or "").strip() if bytes(raw).startswith(b'"') else ""
        fits = _NAME.fullmatch(name) and _VALUE.fullmatch(value)
        if fits and len(tags) < MAX_TAGS and not (name == "user_id" and _OF_SESSION.match(value)):
            tags.setdefault(name.lower(), value)
    return tags


def together(first: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return both, at most `MAX_TAGS`; what the first ones have counts."""
    if not others:
        return dict(first)
    tags = {**first, **{name: value for name, value in others.items() if name not in first}}
    return dict(list(tags.items())[:MAX_TAGS])
