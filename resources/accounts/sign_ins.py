"""Sign-ins: what a browser signs in with, and where a user is signed in."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from resources.fields import doc
from storage.accounts.sign_in.sessions import SignInSession


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


class ListedSession(SignInSession, frozen=True, kw_only=True):
    """A browser that is signed in."""

    current: Annotated[bool, doc("Whether it is the session of this request.")]
