"""What proposed limits would have refused."""

from __future__ import annotations

from handlers.api.recorded.watched import TOO_MANY_EXPORTS_OF_USER
from handlers.openapi.errors import WORDS, retriable
from handlers.openapi.methods import post
from handlers.openapi.operations import JSON, Described, body, lines, response
from resources.what_if import WhatIf, WhatIfBody

_LINES = lines('{"progress":{"calls":1000,"at":"2026-11-17T03:20:00.000Z","share":0.1627}}')

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/limits/what-if": post(
        "tryLimits",
        "Replay calls through proposed limits",
        "Replays the calls of a time range through proposed limits and rules. Windows are empty at its begin, and a refused "
        "call counts nowhere. What a call used counts from its end. Owners, auditors and readers ask for the calls of "
        "all, members for their own. With `Accept: application/x-ndjson` lines of progress come before the result.",
        request=body(
            WhatIfBody,
            rate={
                "from": "2026-11-16",
                "to": "2026-11-23",
                "limits": {"each_member": {"rate": {"requests": 60, "window": "1m"}}},
            },
            models={"from": "2026-11-16", "to": "2026-11-23", "models": {"allow": ["claude-*"]}, "q": "invoice"},
        ),
        responses=WORDS
        | {
            "200": response("What would have been refused.", {JSON: {"schema": WhatIf}} | _LINES),
            "429": retriable("The user has another replay or export in progress.", TOO_MANY_EXPORTS_OF_USER.format(1)),
        },
    ),
}
