"""How a browser signs in at an OpenID provider."""

from __future__ import annotations

from handlers.api.sign_in.single_sign_on import BEGIN, CALLBACK, NO_PROVIDER
from handlers.identity.credentials import FLOW_COOKIE
from handlers.openapi.errors import problem
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, header, json_response, query
from resources.accounts.sign_ins import SignInWays

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
}
