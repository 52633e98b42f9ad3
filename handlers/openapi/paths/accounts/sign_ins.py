"""Sessions: where a user is signed in to the dashboard."""

from __future__ import annotations

from handlers.api.sign_in.sign_ins import NOT_YOURS_TO_END, NOT_YOURS_TO_SEE
from handlers.api.sign_in.single_sign_on import BEGIN, CALLBACK, NO_PROVIDER
from handlers.identity.credentials import FLOW_COOKIE
from handlers.openapi.errors import problem
from handlers.openapi.methods import delete, get
from handlers.openapi.operations import Described, header, in_path, json_response, query
from handlers.openapi.paths.accounts.users import NOBODY, WHOSE
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.accounts.sign_ins import SignInSession, SignInWays
from resources.fields import ListPage

_REDIRECT = {
    "Location": header(str, "Where the browser is redirected.", "/#/overview"),
    "Set-Cookie": header(
        str, "The cookie of the sign-in.", f"{FLOW_COOKIE}=FLOW; HttpOnly; Max-Age=600; Path=/; SameSite=Lax"
    ),
}
_NO_PROVIDER = problem("There is no provider.", NO_PROVIDER)
_VIEW = query("view", str, "What the dashboard shows afterwards, as it stands behind `#/`.", example="interceptions")

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/sign-in": get(
        "getSignIn",
        "The ways to sign in",
        "For the page.",
        public=True,
        responses={"200": json_response("The ways.", SignInWays)},
    ),
    BEGIN: {
        "get": {
            "operationId": "beginSignIn",
            "summary": "Sign in at the OpenID provider",
            "description": "For browsers. Redirects to the provider, or back to the page if the provider is unavailable.",
            "security": [],
            "parameters": [_VIEW],
            "responses": {
                "303": {"description": "A redirect.", "headers": _REDIRECT},
                "404": _NO_PROVIDER,
            },
        }
    },
    CALLBACK: {
        "get": {
            "operationId": "endSignInElsewhere",
            "summary": "Finish a sign-in at the OpenID provider",
            "description": "For browsers. Redirects to the dashboard, with a session or with a word for the reason why there is none.",
            "security": [],
            "parameters": [
                query("code", str, "The provider's code."),
                query("state", str, "What the sign-in was begun with."),
                query("iss", str, "The provider (RFC 9207)."),
                query("error", str, "Why nobody signed in (RFC 6749)."),
            ],
            "responses": {
                "303": {"description": "A redirect to the dashboard.", "headers": _REDIRECT},
                "404": _NO_PROVIDER,
            },
        }
    },
    "/api/v2/aibridge/users/{name}/sessions": get(
        "listSignIns",
        "The sessions of a user",
        "The last used session first. Users see their own; owners and auditors see those of all.",
        parameters=(WHOSE, LIMIT, OFFSET),
        responses={
            "200": json_response("The page.", ListPage[SignInSession]),
            "403": problem("Members may only request their own sessions.", NOT_YOURS_TO_SEE),
            "404": NOBODY,
        },
    ),
    "/api/v2/aibridge/users/{name}/sessions/{id}": delete(
        "endSignIn",
        "End a session",
        "Users end their own sessions, owners any session. The cookie stops working within seconds on every server.",
        parameters=(WHOSE, in_path("id", str, "The id of the session.")),
        responses={
            "204": {"description": "The session is ended."},
            "403": problem("It is the session of another user.", NOT_YOURS_TO_END),
            "404": problem("There is no such session.", "There is no such session; it may have ended."),
        },
    ),
}
