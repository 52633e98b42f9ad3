"""The caller: who that is, and how a browser signs in and out. And for owners all users."""

from __future__ import annotations

from handlers.api.accounts.users import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from handlers.api.sign_in.sign_in import CODE_OVER, FOREIGN, MAX_BODY_BYTES, NOT_JSON, SIGN_OUT_HEADER, TOKEN_OFF
from handlers.base import TOO_MANY_FAILURES, UNRECOGNISED
from handlers.identity.credentials import SESSION_COOKIE
from handlers.openapi.errors import CHALLENGE, not_members, only_owners, problem, retriable
from handlers.openapi.methods import delete, get, patch, post
from handlers.openapi.operations import ETAG, IF_MATCH, JSON, Described, body, header, in_path, json_response, shared
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from handlers.problems import sentence
from http1.errors import BODY_TOO_LARGE, UNREADABLE
from resources.accounts.sign_ins import SignIn
from resources.accounts.users import ListedUser, Me, NewUser, User, UserChange
from resources.fields import ListPage
from storage.accounts.user_accounts import CHANGED, LAST_OWNER, NOT_ONESELF
from storage.accounts.users import Role

NAME = in_path("name", str, "The username, in any case, or the id of the user.")
WHOSE = NAME | {"description": "The username or the id of the user; `me` is the caller."}
NOBODY = problem("There is no such user.", 'There is no user named "grace".')
_LAST = f'"demo" {LAST_OWNER}.'
_ONLY_OWNERS = only_owners(NOT_YOURS_TO_CHANGE)
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
    "/api/v2/aibridge/users": get(
        "listUsers",
        "Who may call",
        "By username. For owners, auditors and readers.",
        parameters=(LIMIT, OFFSET),
        responses={"200": json_response("The page.", ListPage[ListedUser])} | not_members(NOT_YOURS_TO_SEE),
    )
    | post(
        "addUser",
        "Add a user",
        "For owners. Users sign in with a token.",
        request=body(auditor=NewUser("grace", Role.AUDITOR, "Grace H.")),
        responses={
            "201": json_response("The user.", User, ETAG),
            "409": problem("The username is taken.", 'A user named "grace" exists already.'),
        }
        | _ONLY_OWNERS,
    ),
    "/api/v2/aibridge/users/{name}": get(
        "getUser",
        "A user",
        "Users see themselves; owners, auditors and readers see all.",
        parameters=(NAME,),
        responses={
            "200": json_response("The user.", ListedUser, ETAG),
            "403": problem("Members may only request themselves.", NOT_YOURS_TO_SEE),
            "404": NOBODY,
        },
    )
    | patch(
        "changeUser",
        "Change a user",
        "For owners. Fields that are not given stay unchanged.",
        parameters=(NAME, IF_MATCH),
        request=body(role=UserChange(Role.AUDITOR)),
        responses={
            "200": json_response("The user after the change.", User, ETAG),
            "404": NOBODY,
            "409": problem("The last owner would be gone.", _LAST),
            "412": problem("The user was changed at the same time.", f"T{CHANGED.format('grace')[1:]}."),
        }
        | _ONLY_OWNERS,
    )
    | delete(
        "removeUser",
        "Remove a user and revoke their tokens",
        "For owners. Calls of the user stay recorded.",
        parameters=(NAME,),
        responses={
            "204": {"description": "The user is gone."},
            "404": NOBODY,
            "409": problem("Owners cannot remove themselves.", sentence(NOT_ONESELF)),
        }
        | _ONLY_OWNERS,
    ),
    "/api/v2/aibridge/users/me": get(
        "getMe",
        "The caller",
        "The user whose token it is, and which tokens they may create.",
        responses={"200": json_response("The user.", Me)},
    ),
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
