"""Which limits a user has, and how much of each is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from handlers.bridge import Bridge
from handlers.problems import Problem
from intercept.ids import format_id
from limits.limit import Limit, LimitState, Of
from limits.policies.compiled import Applied
from limits.policies.effective import Effective
from limits.policies.sources import Level
from limits.request_limits import Client
from storage.accounts.users import Identity, Token, User
from storage.policies.followed import PoliciesUnknownError

UNKNOWN = "The policies cannot be read at the moment. Please try again later."

AppliedLimit = tuple[Limit, Applied | None]
"""A limit, and the policy that it is from; None where it is from the settings."""


async def find_user(bridge: Bridge, name: str, caller: User) -> User:
    """Find the user of a request. The caller with a service token, who is not in the database, is found too.

    Raises:
        UnknownIdentityError: There is no such user.
    """
    if caller.is_service and name == caller.username:
        return caller
    user, _ = await bridge.identities.existing(name)
    return user


def effective_of(bridge: Bridge, user: User, token: Token | None = None) -> Effective | None:
    """The policies that hold for calls of a user with a token.

    Raises:
        Problem: 503, the policies cannot be read.
    """
    try:
        if token is None:
            return bridge.policies.find(Identity(user=user))
        return bridge.policies.find(Identity(user=user, token_id=token.id, bound_by=token.bound_by))
    except PoliciesUnknownError as error:
        raise Problem(503, UNKNOWN, {"Retry-After": "1"}) from error


def limits_of_user(bridge: Bridge, user: User, effective: Effective | None) -> list[AppliedLimit]:
    """The limits of a user: of the settings, and all that `effective` has."""
    limits: list[AppliedLimit] = [(one, None) for one in _of_settings(bridge, user, "") if one.of is Of.USER]
    return limits + [(one.limit, one) for one in (effective.applied() if effective else ())]


def limits_of_token(bridge: Bridge, user: User, token: Token) -> list[AppliedLimit]:
    """The limits that one token of a user has alone.

    Raises:
        Problem: 503, policies are not known.
    """
    effective = effective_of(bridge, user, token)
    limits: list[AppliedLimit] = [(one, None) for one in _of_settings(bridge, user, token.id) if one.of is Of.TOKEN]
    return limits + [
        (one.limit, one) for one in (effective.applied() if effective else ()) if one.source.level is Level.TOKEN
    ]


async def states_of(
    bridge: Bridge, limits: Sequence[AppliedLimit]
) -> list[tuple[Limit, LimitState | None, Applied | None]]:
    """The state of each limit; None for one that another one replaces.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    states = await bridge.overload.states([limit for limit, _ in limits])
    return [
        (limit, state if applied is None or applied.replaced_by is None else None, applied)
        for (limit, applied), state in zip(limits, states, strict=True)
    ]


def _of_settings(bridge: Bridge, user: User, token: str) -> Iterable[Limit]:
    client = Client(token, format_id(user.id))
    return [*bridge.overload.limits.of_client(client), *bridge.overload.limits.of_call(client)]
