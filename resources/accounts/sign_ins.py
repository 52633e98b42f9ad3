"""Sign-ins: what a browser signs in with, and where a user is signed in."""

from __future__ import annotations

from typing import Annotated, Self

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from resources.fields import Time, doc, of_fields
from storage.accounts.sign_in import sessions as sign_in_sessions
from storage.accounts.sign_in.sessions import MAX_USER_AGENT, Method


class SignIn(Struct):
    """What a browser signs in with: either of the two."""

    token: Annotated[str | UnsetType, doc("A token of the bridge.")] = UNSET
    code: Annotated[str | UnsetType, doc("A code of a link that signs in once.")] = UNSET


class OpenIDSignIn(Struct):
    """Signing in at an OpenID provider."""

    name: Annotated[str, doc("The operator's name for the provider.")]
    path: Annotated[str, doc("The address at which a browser signs in, on this server.")]


class SignInWays(Struct):
    """How somebody may sign in to the dashboard here."""

    token: Annotated[bool, doc("With a token.")]
    openid: Annotated[OpenIDSignIn | None, doc("Sign-in at an OpenID provider; null without one.")]


class SignInSession(Struct):
    """A browser that is signed in."""

    id: str
    token_id: Annotated[
        str | None,
        doc(
            "The token that it signed in with, whose rights the session has. Null without one: the session has "
            "the rights of the user."
        ),
    ]
    method: Annotated[Method, doc("How the user signed in.")]
    created_at: Time
    last_used_at: Annotated[Time, doc("Approximate: not every use is recorded.")]
    expires_at: Annotated[Time, doc("When the session ends without further use.")]
    client_ip: Annotated[str, doc("The address from which the user signed in.")]
    user_agent: Annotated[str, Meta(max_length=MAX_USER_AGENT, description="The `User-Agent` of the browser.")]
    current: Annotated[bool, doc("Whether it is the session of this request.")]

    @classmethod
    def of(cls, session: sign_in_sessions.SignInSession, current_id: str | None) -> Self:
        """Show a session, to a request of the session `current_id`, None if it is of none."""
        return of_fields(cls, structs.asdict(session), current=session.id == current_id)
