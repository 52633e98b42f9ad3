"""What claims say of a person, by the operator's rules. Pure.

Source: OpenID Connect Core 1.0 section 5.1 (claims).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

MAX_VALUES = 1_000
"""Values of a claim that are read."""

MAX_VALUE = 256
"""Characters of such a value; longer ones are left out."""

MAX_NAME = 128
_SOURCES = "_claim_names"  # what a provider names that it left out because it was too much (section 5.6.2)


UNVERIFIED = "the provider does not say that the mail address is verified (email_verified, oidc-assume-verified)"


class NotAllowedError(Exception):
    """The person may not sign in here. The text is for the operator's log."""


class Rules(Struct, frozen=True, kw_only=True):
    """How claims are read.

    Attributes:
        username_claim: The claim that has the username.
        group_claim: The claim that has the groups, as `find_claim` takes it; empty if none has.
        role_claim: The claim whose values `roles` maps.
        roles: Values and the roles they give, the first that fits counts; empty if claims give no roles.
        other_role: The role of a person with none of the values.
        domains: Domains of mail addresses that may sign in, in lower case; empty if all may.
        assumes_verified: Whether a mail address is verified of which the provider does not say so.
    """

    username_claim: str = "email"
    group_claim: str = ""
    role_claim: str = ""
    roles: tuple[tuple[str, str], ...] = ()
    other_role: str = "member"
    domains: tuple[str, ...] = ()
    assumes_verified: bool = False

    @property
    def claims(self) -> frozenset[str]:
        """The claims that are needed."""
        wanted = {self.username_claim, self.group_claim, self.role_claim if self.roles else ""}
        if self.domains or self.username_claim == "email":
            wanted |= {"email"} if self.assumes_verified else {"email", "email_verified"}
        return frozenset(wanted - {""})

    def is_verified(self, claims: Mapping[str, Any]) -> bool:
        """Whether the mail address of the claims is verified."""
        return claims.get("email_verified", self.assumes_verified) is True


class Profile(Struct, frozen=True, kw_only=True):
    """A person, as the provider knows them.

    `groups` and `role` are None if no claim decides them; `id_token` is the whole token.
    """

    issuer: str
    subject: str
    username: str
    name: str
    groups: tuple[str, ...] | None
    role: str | None
    id_token: str = ""


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """The value of a claim, None if there is none.

    A name with dots may also lead into claims that have others in them: `realm_access.roles`, or
    `resource_access.ai.bridge.roles` of a client `ai.bridge`. A claim that is called exactly so comes first, then the
    longest names.
    """
    if claims.get(name) is not None:
        return claims[name]
    parts = name.split(".")
    for number in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:number]))
        if isinstance(inner, dict) and (found := find_claim(inner, ".".join(parts[number:]))) is not None:
            return found
    return None


def read_profile(claims: Mapping[str, Any], rules: Rules) -> Profile:
    """Read the claims of an ID token whose `iss` and `sub` were checked.

    Raises:
        NotAllowedError: There is no username, or the mail address is not one that may sign in.
    """
    _check_domain(claims, rules)
    username = find_claim(claims, rules.username_claim)
    if not isinstance(username, str) or not username:
        raise NotAllowedError(f"the provider gives no claim {rules.username_claim!r} for the username")
    if rules.username_claim == "email" and not rules.is_verified(claims):
        raise NotAllowedError(UNVERIFIED)
    name = claims.get("name")
    printable = "".join(character for character in name if character.isprintable()) if isinstance(name, str) else ""
    role = None
    if rules.roles:
        values = frozenset(_values(claims, rules.role_claim) or ())
        role = next((role for value, role in rules.roles if value in values), rules.other_role)
    return Profile(
        issuer=claims["iss"],
        subject=claims["sub"],
        username=username,
        name=printable[:MAX_NAME],
        groups=_values(claims, rules.group_claim) if rules.group_claim else None,
        role=role,
    )


def _check_domain(claims: Mapping[str, Any], rules: Rules) -> None:
    if not rules.domains:
        return
    email = claims.get("email")
    domain = email.rpartition("@")[2].lower() if isinstance(email, str) and "@" in email else ""
    if domain not in rules.domains:
        raise NotAllowedError("the mail address is of no allowed domain (oidc-allowed-domains)")
    if not rules.is_verified(claims):
        raise NotAllowedError(UNVERIFIED)


def _values(claims: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """The texts of a claim, without the `/` that Keycloak puts before a group; None if the provider left out too many."""
    value = find_claim(claims, name)
    sources = claims.get(_SOURCES)
    if value is None and isinstance(sources, dict) and name in sources:
        return None
    listed = value if isinstance(value, list) else [value]
    texts = (one.removeprefix("/") for one in listed[:MAX_VALUES] if isinstance(one, str) and len(one) <= MAX_VALUE)
    return tuple(dict.fromkeys(text for text in texts if text))
