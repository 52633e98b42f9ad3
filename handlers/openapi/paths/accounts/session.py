"""How a browser signs in with a token, and out."""

from __future__ import annotations

from handlers.api.sign_in.sign_in import CODE_OVER, FOREIGN, MAX_BODY_BYTES, NOT_JSON, SIGN_OUT_HEADER, TOKEN_OFF
from handlers.base import TOO_MANY_FAILURES, UNRECOGNISED
from handlers.identity.credentials import SESSION_COOKIE
from handlers.openapi.errors import CHALLENGE, problem, retriable
from handlers.openapi.operations import JSON, Described, body, header, shared
from http1.errors import BODY_TOO_LARGE, UNREADABLE
from resources.accounts.sign_ins import SignIn

_COOKIE = header(str, "The session cookie.", f"{SESSION_COOKIE}=SESSION; HttpOnly; Path=/; SameSite=Strict")
_SIGN_OUT = header(
    str,
    "Where the browser goes to be signed out of the OpenID provider too, with `oidc-sign-out`.",
    "https://id.example/logout?client_id=ai-bridge",
)
_NOT_FOREIGN = {
    "403": problem("The request comes from a page of another site.", FOREIGN),
    "500": shared("InternalError"),
}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/users/me/session": {
        "post": {
            "operationId": "signIn",
            "summary": "Sign in with a token",
            "description": "For browsers: they get a session with the rights of the token, in a cookie. It ends with the token.",
            "security": [],
            "requestBody": {
                "required": True,
                "description": f"At most {MAX_BODY_BYTES} bytes.",
                "content": {JSON: body(token=SignIn("d3W24SnZZB-0123456789abcdefghijkl"))},
            },
            "responses": {
                "204": {"description": "The cookie is set.", "headers": {"Set-Cookie": _COOKIE}},
                "400": problem("A field is missing, unknown or wrong.", NOT_JSON),
                "401": problem(
                    "The token or code is not valid.", UNRECOGNISED, CODE_OVER, headers={"WWW-Authenticate": CHALLENGE}
                ),
                "408": shared("LateBody"),
                "413": problem("The body is too large.", UNREADABLE.format(BODY_TOO_LARGE.format(MAX_BODY_BYTES))),
                "415": problem("The body is not JSON.", NOT_JSON),
                "429": retriable("Too many tokens from the address were not valid.", TOO_MANY_FAILURES),
                "503": shared("Unavailable"),
                **_NOT_FOREIGN,
                "403": problem(
                    "The request comes from a page of another site, or signing in with tokens is off.",
                    FOREIGN,
                    TOKEN_OFF,
                ),
            },
        },
        "delete": {
            "operationId": "signOut",
            "summary": "Sign out",
            "description": "The session is ended and its cookie cleared; the token stays valid.",
            "security": [],
            "responses": {
                "204": {
                    "description": "The session and its cookie are gone.",
                    "headers": {"Set-Cookie": _COOKIE, SIGN_OUT_HEADER: _SIGN_OUT},
                },
                "503": shared("Unavailable"),
                **_NOT_FOREIGN,
            },
        },
    },
}
