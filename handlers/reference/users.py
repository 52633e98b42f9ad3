"""The caller: who that is, and how a browser signs in and out."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from handlers.base import UNRECOGNISED
from handlers.reference.errors import ALWAYS, CHALLENGE, RETRY_AFTER, problem
from handlers.reference.operations import JSON, Described, Time, answer, body, get, header, shared
from handlers.sign_in import FOREIGN, MAX_ATTEMPTS, MAX_BODY_BYTES, NOT_JSON, TOO_MANY
from storage.users import Role

TAG = "users"


class SignIn(Struct):
    """What a browser signs in with."""

    token: Annotated[str, Meta(description="A token of the bridge.")]


class User(Struct):
    """A user of the bridge."""

    id: UUID
    username: str
    name: str
    role: Annotated[Role, Meta(description="An owner and an auditor see every call, a member their own.")]
    created_at: Time


_ME = User(UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee"), "demo", "demo", Role.OWNER, "2026-11-24T23:50:31.877Z")
_COOKIE = header(str, "The session cookie.", "coder_session_token=TOKEN; HttpOnly; Path=/; SameSite=Strict")
_NOT_FOREIGN = {"403": problem("The page of another site asks.", FOREIGN), "500": shared("InternalError")}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/users/me": get(
        "getMe",
        "Who is asking",
        "The user whose token it is.",
        tag=TAG,
        answers={"200": answer("The user.", {JSON: body(User, me=_ME)})} | ALWAYS,
    ),
    "/api/v2/aibridge/users/me/session": {
        "post": {
            "operationId": "signIn",
            "tags": [TAG],
            "summary": "Sign in with a token",
            "description": "For browsers: the token becomes a cookie that lasts until the browser is closed.",
            "security": [],
            "requestBody": {
                "required": True,
                "description": f"At most {MAX_BODY_BYTES} bytes.",
                "content": {JSON: body(SignIn, token=SignIn("d3W24SnZZB-0123456789abcdefghijkl"))},
            },
            "responses": {
                "204": {"description": "The cookie is set.", "headers": {"Set-Cookie": _COOKIE}},
                "400": problem("The body is not what was expected.", NOT_JSON),
                "401": problem("The token is not valid.", UNRECOGNISED, headers={"WWW-Authenticate": CHALLENGE}),
                "415": problem("The body is not JSON.", NOT_JSON),
                "429": problem(
                    f"More than {MAX_ATTEMPTS} attempts from one address in a minute.",
                    TOO_MANY,
                    headers={"Retry-After": RETRY_AFTER},
                ),
                "503": shared("Unavailable"),
                **_NOT_FOREIGN,
            },
        },
        "delete": {
            "operationId": "signOut",
            "tags": [TAG],
            "summary": "Sign out",
            "description": "The cookie is cleared; the token goes on being valid.",
            "security": [],
            "responses": {
                "204": {"description": "The cookie is gone.", "headers": {"Set-Cookie": _COOKIE}},
                **_NOT_FOREIGN,
            },
        },
    },
}
