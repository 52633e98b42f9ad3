"""Tokens of all users, and the service tokens of groups."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from handlers.api.accounts.all_tokens import MAX_SEARCH, ONLY_OWNERS_LOOK_UP
from handlers.api.accounts.groups import NOT_YOURS_TO_CHANGE as ONLY_OWNERS
from handlers.api.accounts.tokens import NOT_YOURS_TO_SEE, OWNERS_CREATE, SERVICE
from handlers.openapi.errors import not_members, only_owners, problem
from handlers.openapi.methods import delete, get, post
from handlers.openapi.operations import Described, body, in_path, json_response, query
from handlers.openapi.paths.accounts.groups import NAME, NO_GROUP
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.accounts.tokens import (
    CreatedToken,
    FoundToken,
    NewToken,
    Replacement,
    Token,
    TokenText,
)
from resources.fields import ListPage
from storage.queries.accounts.tokens import NOT_A_TOKEN

_ID = in_path("id", str, "The part of the token before the hyphen.")
_NO_TOKEN = problem(
    "There is no such token; others than owners see only their own.",
    'No token with the id "d3W24SnZZB" (the part before the hyphen).',
)
_SERVICE = problem("Service tokens may not do this.", SERVICE)
_TEXT = Annotated[str, Meta(max_length=MAX_SEARCH)]

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/groups/{group}/tokens": get(
        "listServiceTokens",
        "The tokens of a group",
        "Newest first, with expired and revoked ones. For owners and auditors.",
        parameters=(NAME, LIMIT, OFFSET),
        responses={"200": json_response("The page.", ListPage[Token]), "404": NO_GROUP} | not_members(NOT_YOURS_TO_SEE),
    )
    | post(
        "createServiceToken",
        "Create a token of a group",
        "For owners. Who calls with it is nobody, but the group; it has the rights of a member, and changes nothing.",
        parameters=(NAME,),
        request=body(ci=NewToken("ci", "90d")),
        responses={
            "201": json_response("The token.", CreatedToken),
            "404": NO_GROUP,
        }
        | only_owners(ONLY_OWNERS),
    ),
    "/api/v2/aibridge/tokens": get(
        "searchTokens",
        "Tokens of all users",
        "Newest first, with expired and revoked ones. For owners and auditors.",
        parameters=(
            query(
                "q", _TEXT, "The id of a token, or a part of its name or of the name of its user or group, in any case."
            ),
            LIMIT,
            OFFSET,
        ),
        responses={"200": json_response("The page.", ListPage[FoundToken])} | not_members(NOT_YOURS_TO_SEE),
    ),
    "/api/v2/aibridge/tokens/lookup": post(
        "lookUpToken",
        "Find the user or group of a token",
        "For owners. The token is in the body alone, and is neither kept nor logged.",
        request=body(token=TokenText("d3W24SnZZB-0123456789abcdefghijkl")),
        responses={
            "200": json_response("The token.", FoundToken),
            "404": problem("It is no token of this bridge.", f"{NOT_A_TOKEN.capitalize()}."),
        }
        | only_owners(ONLY_OWNERS_LOOK_UP),
    ),
    "/api/v2/aibridge/tokens/{id}": delete(
        "revokeAnyToken",
        "Revoke a token",
        "Users revoke their own tokens, owners any token.",
        parameters=(_ID,),
        responses={
            "204": {"description": "The token is revoked, by this request or before."},
            "403": _SERVICE,
            "404": _NO_TOKEN,
        },
    ),
    "/api/v2/aibridge/tokens/{id}/replace": post(
        "replaceToken",
        "Replace a token",
        "Creates a token of the same user or group, with the same name. The old one works on for a while. Everybody "
        "their own, unless `token-creation` leaves it to owners; owners any token.",
        parameters=(_ID,),
        request=body(overlap=Replacement("24h", "90d")),
        responses={
            "201": json_response("The new token.", CreatedToken),
            "403": problem("The caller may not do this.", OWNERS_CREATE, SERVICE),
            "404": _NO_TOKEN,
            "409": problem(
                "The token is not valid any more, or the user has too many.",
                'The token "d3W24SnZZB" is not valid any more: create another one.',
            ),
        },
    ),
}
