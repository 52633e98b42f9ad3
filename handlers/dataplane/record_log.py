"""Records as log lines: one JSON object per record, for log collectors.

Of a text that a policy restricts in any way, nothing is logged.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from intercept.records import Ending, Interception
from intercept.restricted_texts import without_restricted_texts, without_restricted_words
from intercept.secrets import scrub_value

logger = logging.getLogger("aibridge.records")


def log_start(interception: Interception) -> None:
    """Log that a call was recorded and goes upstream."""
    start = msgspec.to_builtins(without_restricted_texts(interception))
    del start["recording"]
    prompt = start.pop("user_prompt")
    del start["conversation"]  # digests, of use to the database alone
    start["interception_id"] = start.pop("id")
    _write("interception_started", start)
    if prompt is not None:
        _write("user_prompt", {"interception_id": start["interception_id"], **prompt})


def log_end(interception: Interception, ending: Ending) -> None:
    """Log the end of a call; the lines about its response come first."""
    end = msgspec.to_builtins(without_restricted_words(interception.recording, ending))
    reading = end.pop("reading")
    for name in ("provider", "provider_name", "tries"):
        if not end[name]:
            del end[name]  # as at the start, and only one
    about = {"interception_id": end["interception_id"]}
    for kind in ("token_usage", "tool_usage", "model_thought"):
        for record in reading[kind + "s"]:
            _write(kind, about | record)
    if (response := reading["response"]) is not None:
        _write("model_response", about | response)
    _write("interception_ended", end | {"status": ending.end_reason.status.value})


def _write(kind: str, record: dict[str, Any]) -> None:
    logger.info("%s", msgspec.json.encode({"record": kind, **scrub_value(record)}).decode())
