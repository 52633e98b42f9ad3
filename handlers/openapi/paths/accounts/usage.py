"""How near a user is to every limit."""

from __future__ import annotations

from handlers.api.accounts.usage import NOT_YOURS_TO_SEE
from handlers.openapi.errors import problem
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, in_path, json_response
from handlers.openapi.paths.accounts.users import NOBODY
from handlers.openapi.paths.recorded.statistics import IN_HOURS
from resources.accounts.usage import UserUsage

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/users/{name}/usage": get(
        "getUsage",
        "The usage of a user, by limit",
        "What is used, what is left and when there will be more; their active tokens; and of a time range, what their calls "
        "add up to and what was refused. Everybody may ask for `me`; owners, auditors and readers for all, readers without "
        "tokens.",
        parameters=(in_path("name", str, "The username, in any case, or `me`."), *IN_HOURS),
        responses={
            "200": json_response("The usage.", UserUsage),
            "403": problem("Members may only request themselves.", NOT_YOURS_TO_SEE),
            "404": NOBODY,
        },
    ),
}
