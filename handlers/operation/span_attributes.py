"""What a trace says of a request: names, ids, counts and states; no prompt, no response, no credential. Pure.

Source: OpenTelemetry's semantic conventions for HTTP and, still in development, for generative AI.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from handlers.lifecycle import ActiveRequest
from intercept.records import Ending, Interception, Status, TokenUsage

Attributes = dict[str, str | int]

ERROR_TYPE = "error.type"
OPERATION = "chat"
"""What a call of any API that is recorded is, in the words of the conventions."""

FIRST_SERVER_ERROR = 500


def of_request(status: int | None, holder: ActiveRequest) -> Attributes:
    """Describe any request. `status` is what the client was sent, None if it was nothing."""
    return _known(
        {
            "http.response.status_code": status,
            "http.route": holder.route,
            "enduser.id": None if holder.user_id is None else str(holder.user_id),
            "aibridge.provider.name": holder.provider,
            "aibridge.interception.id": None if holder.interception_id is None else str(holder.interception_id),
            ERROR_TYPE: str(status) if status is not None and status >= FIRST_SERVER_ERROR else None,
        }
    )


def of_call(interception: Interception, ending: Ending) -> Attributes:
    """Describe a recorded call. The conventions count among the input what is cached; records do not."""
    usages = ending.reading.token_usages
    read, written = _total(usages, "cache_read_input_tokens"), _total(usages, "cache_write_input_tokens")
    return _known(
        {
            "gen_ai.operation.name": OPERATION,
            "gen_ai.provider.name": interception.provider,
            "gen_ai.request.model": interception.model,
            "gen_ai.conversation.id": interception.client_session_id,
            "gen_ai.response.id": ending.reading.response_id or None,
            "gen_ai.usage.input_tokens": _sum((_total(usages, "input_tokens"), read, written)),
            "gen_ai.usage.cache_read.input_tokens": read,
            "gen_ai.usage.cache_creation.input_tokens": written,
            "gen_ai.usage.output_tokens": _total(usages, "output_tokens"),
            "aibridge.end_reason": ending.end_reason.value,
            ERROR_TYPE: ending.end_reason.value if ending.end_reason.status is Status.FAILED else None,
        }
    )


def _known(attributes: Mapping[str, str | int | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _total(usages: Iterable[TokenUsage], name: str) -> int | None:
    return _sum(getattr(usage, name) for usage in usages)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
