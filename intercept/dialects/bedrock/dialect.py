"""Amazon Bedrock's dialect: its errors, and what else its clients expect of a server.

Source: the Amazon Bedrock API reference, "Common errors".
"""

from __future__ import annotations

import re
from typing import Any, Final, Self

from msgspec import Struct

from intercept.apis import EVENT_STREAM, Dialect

_ERRORS: Final = {
    **dict.fromkeys((400, 405, 413, 415), "ValidationException"),
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    **dict.fromkeys((502, 503), "ServiceUnavailableException"),
    504: "ModelTimeoutException",
}
_OTHER_ERROR: Final = "InternalServerException"


class BedrockError(Struct, rename={"type": "__type"}):
    """An error of the bridge on the routes of Amazon Bedrock. The header `x-amzn-ErrorType` has the type as well."""

    type: str
    message: str

    @classmethod
    def of(cls, status: int, message: str, request_id: Any = "", retry_after_ms: int | None = None) -> Self:  # noqa: ARG003
        """Word the error of an HTTP status."""
        return cls(_ERRORS.get(status, _OTHER_ERROR), message)


DIALECT: Final = Dialect(
    name="bedrock",
    error=BedrockError,
    request_id_header="x-amzn-RequestId",
    error_type_header="x-amzn-ErrorType",
    paths=re.compile("/model/"),
    stream_type=EVENT_STREAM,
    example={"messages": [{"role": "user", "content": [{"text": "Hello"}]}]},
)
