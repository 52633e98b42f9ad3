"""Tokens: everybody's own, for owners those of all, and the service tokens of groups."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from handlers.api.accounts.groups import GroupName
from handlers.operations.operation import AUDITORS, OWNERS, PEOPLE, Ask, operation
from handlers.operations.query import Paged
from handlers.problems import Problem
from intercept.secrets import scrub_quoted
from resources.accounts.tokens import CreatedToken, FoundToken, ListedToken, NewToken, Replacement, TokenText, expiry
from resources.bodies import Readers
from resources.fields import Initiator, ListPage, doc
from settings import TokenCreation
from storage.accounts.users import SERVICE_PREFIX
from storage.queries.accounts.tokens import TokenDetails

MAX_SEARCH: Final = 256
TOO_LONG = f"has more than {MAX_SEARCH} characters"
NOT_IN_ADDRESSES = (
    "looks like a token or a key: send it in the body of POST /api/v2/aibridge/tokens/lookup, never in an address"
)
OWNERS_CREATE = "Only owners may create tokens here (token-creation). Please ask an owner for one."

UserOrMe = Annotated[str, doc("The username or the id of the user; `me` is the caller.")]
Id = Annotated[str, doc("The part of the token before the hyphen.")]


def _search(text: str) -> str:
    if scrub_quoted(text) != text:
        raise ValueError(NOT_IN_ADDRESSES)
    if len(text) > MAX_SEARCH:
        raise ValueError(TOO_LONG)
    return text.strip()


class TokenQuery(Paged, frozen=True):
    """Which tokens."""

    readers: ClassVar[Readers] = {"q": _search}

    q: Annotated[
        str,
        Meta(max_length=MAX_SEARCH),
        doc("The id of a token, or a part of its name or of the name of its user or group, in any case."),
    ] = ""


def check_creation(ask: Ask) -> None:
    """Check that the caller may create tokens.

    Raises:
        Problem: 403, only owners may.
    """
    if not (ask.is_owner or ask.bridge.settings.token_creation is TokenCreation.MEMBERS):
        raise Problem(403, OWNERS_CREATE)


async def _page(ask: Ask, owner: str, query: Paged) -> ListPage[ListedToken]:
    count, found = await ask.bridge.tokens.of_user(owner, limit=query.limit, offset=query.offset)
    return ListPage(count, [ListedToken.used(one.token, one.last_use) for one in found])


async def _create(ask: Ask, owner: str, body: NewToken) -> CreatedToken:
    token, text = await ask.bridge.identities.create_token(
        owner, name=body.name or "", expires_at=expiry(body, ask.bridge.now()), author=ask.author
    )
    return CreatedToken.used(token, token=text)


def _found(details: TokenDetails) -> FoundToken:
    return FoundToken.used(details.token, details.last_use, user=Initiator.of_user(details.user))


@operation("GET", "users/{name}/tokens", AUDITORS, own=True)
async def list_tokens(ask: Ask, name: UserOrMe, query: Paged) -> ListPage[ListedToken]:
    """List the tokens of a user.

    Newest first, with expired and revoked ones.
    """
    return await _page(ask, name, query)


@operation(
    "POST",
    "users/{name}/tokens",
    OWNERS,
    own=True,
    status=201,
    raises={403: OWNERS_CREATE, 409: "The user has the maximum number of active tokens."},
    example=NewToken("laptop", "90d"),
)
async def create_token(ask: Ask, name: UserOrMe, body: NewToken) -> CreatedToken:
    """Create a token for a user.

    The token itself appears only here. Members create their own, unless `token-creation` leaves it to owners.
    """
    check_creation(ask)
    return await _create(ask, name, body)


@operation("DELETE", "users/{name}/tokens/{id}", OWNERS, own=True)
async def revoke_token(ask: Ask, name: UserOrMe, id_: Id) -> None:
    """Revoke a token of a user.

    It stops working within seconds. Nothing happens if it was revoked before.
    """
    await ask.bridge.identities.revoke_token(id_, of=name, author=ask.author)


@operation("GET", "groups/{group}/tokens", AUDITORS, tag="users")
async def list_service_tokens(ask: Ask, group: GroupName, query: Paged) -> ListPage[ListedToken]:
    """List the tokens of a group.

    Newest first, with expired and revoked ones.
    """
    return await _page(ask, SERVICE_PREFIX + group, query)


@operation("POST", "groups/{group}/tokens", OWNERS, status=201, tag="users", example=NewToken("ci", "90d"))
async def create_service_token(ask: Ask, group: GroupName, body: NewToken) -> CreatedToken:
    """Create a token of a group.

    Who calls with it is nobody, but the group; it has the rights of a member, and changes nothing.
    """
    return await _create(ask, SERVICE_PREFIX + group, body)


@operation("GET", "tokens", AUDITORS, tag="users")
async def search_tokens(ask: Ask, query: TokenQuery) -> ListPage[FoundToken]:
    """Search the tokens of all users.

    Newest first, with expired and revoked ones.
    """
    count, found = await ask.bridge.tokens.search(query.q, limit=query.limit, offset=query.offset)
    return ListPage(count, [_found(one) for one in found])


@operation(
    "POST",
    "tokens/lookup",
    OWNERS,
    tag="users",
    raises={404: "It is no token of this bridge."},
    example=TokenText("d3W24SnZZB-0123456789abcdefghijkl"),
)
async def look_up_token(ask: Ask, body: TokenText) -> FoundToken:
    """Look a token up.

    Who it belongs to. The token is in the body alone, and is neither kept nor logged.
    """
    return _found(await ask.bridge.tokens.lookup(body.token))


@operation("DELETE", "tokens/{id}", PEOPLE, tag="users")
async def revoke_any_token(ask: Ask, id_: Id) -> None:
    """Revoke a token.

    Users revoke their own tokens, owners any token. Those of others are unknown to users. Nothing happens if it was
    revoked before.
    """
    own = None if ask.is_owner else ask.user.username
    await ask.bridge.identities.revoke_token(id_, of=own, author=ask.author)


@operation(
    "POST",
    "tokens/{id}/replace",
    PEOPLE,
    status=201,
    tag="users",
    raises={403: OWNERS_CREATE, 409: "The token is not valid any more, or the user has too many."},
    example=Replacement("24h", "90d"),
)
async def replace_token(ask: Ask, id_: Id, body: Replacement) -> CreatedToken:
    """Replace a token.

    Creates a token of the same user or group, with the same name. The old one works on for a while. Everybody their own,
    unless `token-creation` leaves it to owners; owners any token.
    """
    check_creation(ask)
    token, text = await ask.bridge.identities.replace_token(
        id_,
        overlap=body.overlap_time,
        expires_at=expiry(body, ask.bridge.now()),
        of=None if ask.is_owner else ask.user.id,
        author=ask.author,
    )
    return CreatedToken.used(token, token=text)
