"""What is set beside the changes of a call that has ended, so that what is derived of it follows. Pure.

The end of a call comes with its whole document, as it is written with an insert or a replacement. Whoever changes a call that
has ended sets `changed` to a new id. Where that changes figures, or what they are grouped by, `was` has these fields as they
were before. `storage.derived.changes` reads that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import ObjectId

from storage.recording.figures import COST_PARTS, TOKENS

COSTS: Final = ("cost", "priced", "unpriced", "no_usage", *TOKENS, *COST_PARTS)
"""The fields that change with the price of a call, and with its true end."""

CHANGING: Final = (
    *("presumed", "status", "end_reason", "upstream_status", "provider", "provider_name", "ended_at", "buckets"),
    *("error", "tool_usages", *COSTS),
)
"""These, and those that change with a true end alone."""


def changed(document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what is set beside the changes, with `$set` and for each field as a whole.

    Args:
        document: The call as it is before, where `CHANGING` fields change.
    """
    if document is None:
        return {"changed": ObjectId()}
    was = {name: document.get(name) for name in CHANGING}
    if error := was["error"]:
        was["error"] = {"type": error["type"]}
    was["tool_usages"] = [{"tool": usage["tool"]} for usage in was["tool_usages"] or ()]
    return {"changed": ObjectId(), "was": was}
