"""Whether a request is tied to one provider: it uses what that one has kept, or what only that one can read; and which. Pure.

Sources: the API references of OpenAI (`store`, `previous_response_id`, files, encrypted reasoning), Anthropic (files,
containers) and Google (cached content, files).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from intercept.apis import Api, RequestSummary
from intercept.catalog import BATCHES, FILES, MESSAGE_BATCHES, RESPONSES, UPLOAD_COMPLETIONS, UPLOADS

MAX_QUOTES: Final = 4 * 1024 * 1024
"""Quotation marks of a body that is searched, in some 40 ms."""

_KEPT_APIS: Final = frozenset(api.name for api in (BATCHES, FILES, MESSAGE_BATCHES, UPLOADS, UPLOAD_COMPLETIONS))
# Names of members, or values of `type` and `include`. In the text of a string the quotation marks are escaped.
_OF_ALL: Final = (
    rb"file_ids?|file_uri|fileUri|cached_?content|cachedContent|container(?:_id)?|item_reference|vector_store_ids"
)
_NOT_NULL: Final = rb'"(?!\s*:\s*null\b)'
_MARKS: Final = re.compile(rb'"(?:' + _OF_ALL + rb")" + _NOT_NULL)
_MARKS_OF_RESPONSES: Final = re.compile(rb'"(?:' + _OF_ALL + rb"|(?:reasoning\.)?encrypted_content)" + _NOT_NULL)
# Members that name what was kept: by its id, by a path or a URL that ends with it, or by a list of ids.
_REFERENCES: Final = re.compile(
    rb'"(?:previous_(?:response|interaction)_id|conversation|file_ids?|file_uri|fileUri|cached_content|cachedContent)"\s*:'
    rb'\s*(?:\{\s*"id"\s*:\s*)?(\[[^\[\]]{0,8192}\]|"[^"]{1,2048}")'
)
_REFERENCE: Final = re.compile(rb'([A-Za-z0-9._:~-]{1,256})"')
_ESCAPED: Final = re.compile(rb"\\u00(?!22|5[Cc])([2-7][0-9A-Fa-f])")
_REFERENCE_BYTES: Final = 16 * 1024
"""More bytes than such a member has, escapes included, unless there is odd white space in it."""
_WINDOW_BYTES: Final = 256 * 1024


def is_tied(api: Api, summary: RequestSummary, body: bytes) -> bool:
    """Return whether a request depends on what one provider stores.

    False positives are possible: a member of a client's tool may have the name of one of the API. A body with too much in it
    counts as one that does. It is not compressed.
    """
    if summary.uses_state or summary.used_file_id is not None or api.name in _KEPT_APIS:
        return True
    marks = _MARKS_OF_RESPONSES if api.name == RESPONSES.name else _MARKS
    return body.count(b'"') > MAX_QUOTES or marks.search(body) is not None


def windows(body: bytes) -> Iterator[bytes]:
    """The parts of a body in which `references` finds all; each takes it some milliseconds."""
    for start in range(0, len(body), _WINDOW_BYTES):
        yield body[start : start + _WINDOW_BYTES + _REFERENCE_BYTES]


def references(window: bytes) -> set[str]:
    """Return the ids by which a part of a request names what a provider may have kept.

    Members of a client's own may have such a name, too. The body is not compressed.
    """
    if _ESCAPED.search(window):
        window = _ESCAPED.sub(lambda escape: bytes((int(escape[1], 16),)), window)
    return {id_.decode() for named in _REFERENCES.findall(window) for id_ in _REFERENCE.findall(named)}
