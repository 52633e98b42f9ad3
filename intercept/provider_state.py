"""Whether a request is tied to one provider: it uses what that one has kept, or what only that one can read. Pure.

Sources: the API references of OpenAI (`store`, `previous_response_id`, files, encrypted reasoning), Anthropic (files,
containers) and Google (cached content, files).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final

from intercept.apis import Api, RequestSummary
from intercept.catalog import BATCHES, FILES, MESSAGE_BATCHES, RESPONSES, UPLOAD_COMPLETIONS, UPLOADS
from intercept.formats.json_walk import Body

_WINDOW_BYTES: Final = 256 * 1024
_KEPT_APIS: Final = frozenset(api.name for api in (BATCHES, FILES, MESSAGE_BATCHES, UPLOADS, UPLOAD_COMPLETIONS))
# Names of members, or values of `type` and `include`. In the text of a string the quotation marks are escaped.
_OF_ALL: Final = (
    rb"file_ids?|file_uri|fileUri|cached_?content|cachedContent|container(?:_id)?|item_reference|vector_store_ids"
)
_NOT_NULL: Final = rb'"(?!\s*:\s*null\b)'
_MARKS: Final = re.compile(rb'"(?:' + _OF_ALL + rb")" + _NOT_NULL)
_MARKS_OF_RESPONSES: Final = re.compile(rb'"(?:' + _OF_ALL + rb"|(?:reasoning\.)?encrypted_content)" + _NOT_NULL)
_OVERLAP: Final = 64
"""More bytes than a mark has, unless there is odd white space behind it."""


def is_tied(api: Api, summary: RequestSummary, body: Body) -> Generator[None, None, bool]:
    """Return, in steps of about a millisecond, whether a request depends on what one provider stores.

    False positives are possible: a member of a client's tool may have the name of one of the API. The body is not
    compressed.
    """
    if summary.uses_state or summary.used_file_id is not None or api.name in _KEPT_APIS:
        return True
    marks = _MARKS_OF_RESPONSES if api.name == RESPONSES.name else _MARKS
    for start in range(0, len(body), _WINDOW_BYTES):
        if marks.search(body, start, start + _WINDOW_BYTES + _OVERLAP):
            return True
        yield
    return False
