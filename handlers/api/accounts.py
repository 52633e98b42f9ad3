"""Users, their tokens and sign-ins, groups of users, and the service tokens of groups."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from handlers.operations.operation import AUDITORS, OWNERS, PEOPLE, READERS, Ask, Tagged, Versions, operation
from handlers.operations.query import Paged
from handlers.problems import Problem
from intercept.secrets import scrub_quoted
from intercept.times import format_time
from resources.accounts import (
    CreatedToken,
    FoundToken,
    GroupChange,
    ListedGroup,
    ListedSession,
    ListedToken,
    ListedUser,
    Me,
    NewGroup,
    NewToken,
    NewUser,
    Replacement,
    TokenRules,
    TokenText,
    UserChange,
    expiry,
)
from resources.bodies import Readers
from resources.fields import Initiator, ListPage, doc
from settings import TokenCreation
from storage.accounts.groups import MAX_GROUPS_OF_USER
from storage.accounts.users import SERVICE_PREFIX, Role, User
from storage.queries.accounts import TokenDetails

MAX_SEARCH: Final = 256
TOO_LONG = f"has more than {MAX_SEARCH} characters"
NOT_IN_ADDRESSES = (
    "looks like a token or a key: send it in the body of POST /api/v2/aibridge/tokens/lookup, never in an address"
)
OWNERS_CREATE = "Only owners may create tokens here (token-creation). Please ask an owner for one."

UserOrMe = Annotated[str, doc("The username or the id of the user; `me` is the caller.")]
TokenId = Annotated[str, doc("The part of the token before the hyphen.")]
UserName = Annotated[str, doc("The username, in any case, or the id of the user.")]
GroupName = Annotated[str, doc("The name of the group, in any case, or its id.")]


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
async def revoke_token(ask: Ask, id_: TokenId) -> None:
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
async def replace_token(ask: Ask, id_: TokenId, body: Replacement) -> CreatedToken:
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


@operation("GET", "users/me")
async def get_me(ask: Ask) -> Me:
    """Read who is calling.

    The user whose token it is, and which tokens they may create.
    """
    settings = ask.bridge.settings
    may_create = ask.is_owner or settings.token_creation is TokenCreation.MEMBERS
    tokens = TokenRules(
        may_create=may_create and not ask.user.is_service,
        limit=None if ask.is_owner else settings.tokens_per_user or None,
        expire_by=format_time(ask.identity.expires_at),
    )
    return Me.extending(ask.user, tokens=tokens)


@operation("GET", "users", READERS)
async def list_users(ask: Ask, query: Paged) -> ListPage[ListedUser]:
    """List users.

    By username.
    """
    count, people = await ask.bridge.people.page(limit=query.limit, offset=query.offset)
    return ListPage(count, [ListedUser.listed(person) for person in people])


@operation(
    "POST",
    "users",
    OWNERS,
    status=201,
    raises={409: "The username is taken."},
    example=NewUser("grace", Role.AUDITOR, "Grace H."),
)
async def add_user(ask: Ask, body: NewUser) -> Tagged[User]:
    """Add a user.

    Users sign in with a token.
    """
    user = await ask.bridge.identities.add_user(
        body.username,
        role=body.role,
        name=body.name or None,
        author=ask.author,
    )
    return Tagged(user, user.version)


@operation("GET", "users/{name}", READERS, own=True)
async def get_user(ask: Ask, name: UserName) -> Tagged[ListedUser]:
    """Read a user."""
    person = await ask.bridge.people.find(name)
    return Tagged(ListedUser.listed(person), person.user.version)


@operation("PATCH", "users/{name}", OWNERS, raises={409: "The last owner would be gone."}, example={"role": "auditor"})
async def change_user(ask: Ask, name: UserName, body: UserChange, versions: Versions) -> Tagged[User]:
    """Change a user.

    Fields that are not given stay unchanged.
    """
    identities = ask.bridge.identities
    user = await identities.change_user(name, **body.changes, versions=versions, author=ask.author)
    return Tagged(user, user.version)


@operation("DELETE", "users/{name}", OWNERS, raises={409: "Owners cannot remove themselves."})
async def remove_user(ask: Ask, name: UserName) -> None:
    """Remove a user.

    Their tokens are revoked. Their calls stay recorded.
    """
    await ask.bridge.identities.remove_user(name, author=ask.author)


@operation("GET", "groups", READERS)
async def list_groups(ask: Ask, query: Paged) -> ListPage[ListedGroup]:
    """List groups.

    By name. `everyone`, which is built in and has all users, is not among them.
    """
    count, groups = await ask.bridge.groups.page(limit=query.limit, offset=query.offset)
    return ListPage(count, [ListedGroup.extending(group, members=members) for group, members in groups])


@operation(
    "POST", "groups", OWNERS, status=201, raises={409: "The name is taken."}, example=NewGroup("research", "Research")
)
async def add_group(ask: Ask, body: NewGroup) -> Tagged[ListedGroup]:
    """Add a group."""
    group = await ask.bridge.groups.add(body.name, display_name=body.display_name or "", author=ask.author)
    return Tagged(ListedGroup.extending(group, members=0), group.version)


@operation("GET", "groups/{group}", READERS)
async def get_group(ask: Ask, group: GroupName) -> Tagged[ListedGroup]:
    """Read a group."""
    found, members = await ask.bridge.groups.existing(group)
    return Tagged(ListedGroup.extending(found, members=members), found.version)


@operation(
    "PATCH",
    "groups/{group}",
    OWNERS,
    raises={409: "The name is taken."},
    example={"display_name": "Research"},
)
async def change_group(ask: Ask, group: GroupName, body: GroupChange, versions: Versions) -> Tagged[ListedGroup]:
    """Change a group.

    Fields that are not given stay unchanged.
    """
    after = await ask.bridge.groups.change(group, **body.changes, versions=versions, author=ask.author)
    _, members = await ask.bridge.groups.existing(str(after.id))
    return Tagged(ListedGroup.extending(after, members=members), after.version)


@operation("DELETE", "groups/{group}", OWNERS, raises={409: "It has a policy: remove that first."})
async def remove_group(ask: Ask, group: GroupName, versions: Versions) -> None:
    """Remove a group.

    Its members stay users, and calls stay recorded with it.
    """
    await ask.bridge.groups.remove(group, versions=versions, author=ask.author)


@operation("GET", "groups/{group}/members", READERS)
async def list_members(ask: Ask, group: GroupName, query: Paged) -> ListPage[User]:
    """List the members of a group.

    By username.
    """
    count, members = await ask.bridge.groups.members_page(group, limit=query.limit, offset=query.offset)
    return ListPage(count, members)


@operation(
    "PUT",
    "groups/{group}/members/{user}",
    OWNERS,
    raises={409: f"The user is in the maximum number of groups, which is {MAX_GROUPS_OF_USER}."},
)
async def add_member(ask: Ask, group: GroupName, user: UserName) -> None:
    """Add a user to a group.

    Nothing happens if they are in it. No body is needed.
    """
    await ask.bridge.groups.add_members(group, [user], author=ask.author)


@operation("DELETE", "groups/{group}/members/{user}", OWNERS)
async def remove_member(ask: Ask, group: GroupName, user: UserName) -> None:
    """Remove a user from a group.

    Nothing happens if they are not in it.
    """
    await ask.bridge.groups.remove_members(group, [user], author=ask.author)


@operation("GET", "users/{name}/sessions", AUDITORS, own=True)
async def list_sign_ins(ask: Ask, name: UserOrMe, query: Paged) -> ListPage[ListedSession]:
    """List the sessions of a user.

    The last used session first.
    """
    count, sessions = await ask.bridge.sign_ins.page(name, limit=query.limit, offset=query.offset)
    return ListPage(
        count, [ListedSession.extending(one, current=one.id == ask.identity.session_id) for one in sessions]
    )


@operation("DELETE", "users/{name}/sessions/{id}", OWNERS, own=True)
async def end_sign_in(ask: Ask, name: UserOrMe, id_: Annotated[str, doc("The id of the session.")]) -> None:
    """End a session of a user.

    The cookie stops working within seconds on every server.
    """
    await ask.bridge.sign_ins.end(id_, of=name, author=ask.author)
