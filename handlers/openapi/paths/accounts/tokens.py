"""Tokens: everybody's own, and for owners those of all."""

from __future__ import annotations

from handlers.api.accounts.tokens import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from handlers.openapi.errors import problem
from handlers.openapi.methods import delete, get, post
from handlers.openapi.operations import Described, body, in_path, json_response
from handlers.openapi.paths.accounts.users import NOBODY, WHOSE
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.accounts.tokens import CreatedToken, NewToken, Token
from resources.fields import ListPage
from storage.accounts.identities import TOO_MANY_TOKENS

_OWN = {"403": problem("They are the tokens of another user.", NOT_YOURS_TO_CHANGE), "404": NOBODY}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/users/{name}/tokens": get(
        "listTokens",
        "The tokens of a user",
        "Newest first, with expired and revoked ones. Users see their own; owners and auditors see those of all.",
        parameters=(WHOSE, LIMIT, OFFSET),
        responses={
            "200": json_response("The page.", ListPage[Token]),
            "403": problem("Members may only request their own tokens.", NOT_YOURS_TO_SEE),
            "404": NOBODY,
        },
    )
    | post(
        "createToken",
        "Create a token",
        "Users create their own, unless `token-creation` leaves it to owners; owners create them for all.",
        parameters=(WHOSE,),
        request=body(laptop=NewToken("laptop", "90d")),
        responses={
            "201": json_response("The token.", CreatedToken),
            "409": problem(
                "The user has the maximum number of active tokens.", f"{TOO_MANY_TOKENS.format('grace', 10)}."
            ),
        }
        | _OWN,
    ),
    "/api/v2/aibridge/users/{name}/tokens/{id}": delete(
        "revokeToken",
        "Revoke a token",
        "Members revoke their own tokens, owners any token. It stops working within seconds.",
        parameters=(WHOSE, in_path("id", str, "The part of the token before the hyphen.")),
        responses={"204": {"description": "The token is revoked, by this request or before."}} | _OWN,
    ),
}
