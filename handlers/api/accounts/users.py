"""The caller, and all users."""

from __future__ import annotations

from typing import Annotated

from handlers.operations.operation import OWNERS, READERS, Ask, Tagged, Versions, operation
from handlers.operations.query import Paged
from intercept.times import format_time
from resources.accounts.users import ListedUser, Me, NewUser, TokenRules, UserChange
from resources.fields import ListPage, doc
from settings import TokenCreation
from storage.accounts.users import Role, User

UserName = Annotated[str, doc("The username, in any case, or the id of the user.")]


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


@operation(
    "PATCH", "users/{name}", OWNERS, raises={409: "The last owner would be gone."}, example=UserChange(Role.AUDITOR)
)
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
