"""`POST /api/v2/aibridge/invitations`: a user for some time and some money, and the link that lets them in."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.api.policies import store_of
from handlers.operations.operation import OWNERS, Ask, operation
from intercept.times import format_time
from limits.policies.compiled import Level
from limits.policies.policy import Policy
from limits.policies.reading import InvalidPolicyError, read_policy
from resources.accounts import LIFETIME, Name, Username, read_duration
from resources.bodies import Body, InvalidBodyError, OtherReaders, Readers
from resources.fields import Time, doc
from settings.kinds import POSITIVE_DURATION
from storage.accounts.identities import capped_expiry
from storage.accounts.users import Identity, Role, User, checked_name, checked_username

TOKEN_NAME: Final = "Invitation"  # noqa: S105 - what a token is called


def _models(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("must be a list of patterns, such as claude-*")
    return value


class NewInvitation(Body):
    """Who is invited, until when, and to what."""

    username: Username
    expires: Annotated[str, LIFETIME, doc("After which time all that they have ends, such as `7d`.")]
    name: Name | UnsetType = UNSET
    usd: Annotated[str | float, doc("US dollars that they may spend in all.")] | UnsetType = UNSET
    models: (
        Annotated[list[str], Meta(description="The models that they may use, as in policies.", examples=[["claude-*"]])]
        | UnsetType
    ) = UNSET

    readers: ClassVar[Readers] = {
        "username": checked_username,
        "name": partial(checked_name, "name"),
        "expires": read_duration,
    }
    other_readers: ClassVar[OtherReaders] = {"usd": lambda value: value, "models": _models}

    def policy(self) -> Policy:
        """The policy of the user.

        Raises:
            InvalidBodyError: A field says what no policy can.
        """
        fields: dict[str, Any] = {}
        if self.models:
            fields["models"] = {"allow": self.models}
        if self.usd is not UNSET:
            fields["limits"] = {"budget": {"usd": self.usd, "period": "total"}}
        try:
            return read_policy(fields, Policy)
        except InvalidPolicyError as error:
            field = "models" if error.field.startswith("models") else "usd"
            raise InvalidBodyError([(field, error.rule)]) from error


class Invitation(Struct):
    """A user who was invited."""

    user: User
    link: Annotated[
        str, doc("Signs them in, once, within seven days, and leads to what to set up. It appears only here.")
    ]
    expires_at: Annotated[Time, doc("When all that they have ends.")]


@operation(
    "POST",
    "invitations",
    OWNERS,
    status=201,
    tag="users",
    raises={409: "The username is taken."},
    example=NewInvitation("kim@partner.example", "7d", usd="20", models=["claude-*"]),
)
async def invite_user(ask: Ask, body: NewInvitation) -> Invitation:
    """Invite a user.

    Adds a member with a policy of their own, and makes a link to send them. What they sign in with, and every token that
    they create, ends with the invitation.
    """
    bridge, policy = ask.bridge, body.policy()
    expires_at = bridge.now() + POSITIVE_DURATION.parse(body.expires)
    capped_expiry(expires_at, ask.author.expires_at)  # what cannot be is refused before anybody is added
    user = await bridge.identities.add_user(body.username, role=Role.MEMBER, name=body.name or None, author=ask.author)
    if policy != Policy():
        await store_of(bridge).change(Level.USER, user.username, lambda _: policy, versions=None, author=ask.author)
    token, _ = await bridge.identities.create_token(
        user.username, name=TOKEN_NAME, expires_at=expires_at, author=ask.author
    )
    code = await bridge.sign_ins.create_invitation(Identity(user=user, token_id=token.id))
    return Invitation(user, f"{ask.origin}/#/sign-in/{code}?to=connect", format_time(token.expires_at or expires_at))
