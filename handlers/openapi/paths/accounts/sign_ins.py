"""Sessions: where a user is signed in to the dashboard."""

from __future__ import annotations

from handlers.api.accounts.sign_ins import NOT_YOURS_TO_END, NOT_YOURS_TO_SEE
from handlers.openapi.errors import ALWAYS, CHANGE, problem
from handlers.openapi.operations import JSON, Described, body, change, get, in_path, response
from handlers.openapi.paths.accounts.users import NAME, NOBODY, TAG
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.accounts.sign_ins import SignInSession, SignInSessionList

_EXAMPLE = SignInSession(
    id="kq3PzT0bXa",
    token_id="d3W24SnZZB",  # noqa: S106 - the public part of a token
    created_at="2026-11-25T08:02:11.604Z",
    last_used_at="2026-11-25T09:40:00.113Z",
    expires_at="2026-11-25T21:40:00.113Z",
    client_ip="203.0.113.9",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    current=True,
)
_WHOSE = NAME | {"description": "The username or the id of the user; `me` is who asks."}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/users/{name}/sessions": get(
        "listSignIns",
        "Where a user is signed in",
        "The session that was used last first. Everybody sees their own; owners and auditors those of all.",
        tag=TAG,
        parameters=(_WHOSE, LIMIT, OFFSET),
        responses={
            "200": response("The page.", {JSON: body(SignInSessionList, page=SignInSessionList(1, [_EXAMPLE]))}),
            "403": problem("A member asks for the sessions of somebody else.", NOT_YOURS_TO_SEE),
            "404": NOBODY,
        }
        | ALWAYS,
    ),
    "/api/v2/aibridge/users/{name}/sessions/{id}": {
        "delete": change(
            "endSignIn",
            "End a session",
            "Everybody their own; owners those of all. Its cookie is not valid any more, within seconds everywhere.",
            tag=TAG,
            parameters=(_WHOSE, in_path("id", str, "The id of the session.")),
            responses={
                "204": {"description": "The session is ended."},
                "403": problem("The session of somebody else is meant.", NOT_YOURS_TO_END),
                "404": problem("There is no such session.", "There is no such session; it may have ended."),
            }
            | CHANGE,
        )
    },
}
