"""Who works at the invented company: users, groups, tokens and policies, as documents. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple
from uuid import UUID

from intercept.ids import EXAMPLE_TOKEN_PREFIX, format_id
from limits.policies.policy import Budget, Limits, Models, Rate, SharedLimits, SharedPolicy
from limits.policies.sources import Level, Source
from storage.accounts.tokens.text import digest
from storage.accounts.users import Role
from storage.examples.ids import example_id
from storage.policies.documents import KeptPolicy, document_of

DOMAIN: Final = "example.com"
"""Nobody has an address there (RFC 2606, section 3)."""

_TEAMS: Final = {
    "platform": ("CC-1100", ("ada", "alan", "barbara", "dennis", "edsger", "frances", "grace")),
    "data": ("CC-1200", ("hedy", "ida", "joan", "karen", "leslie")),
    "mobile": ("CC-1300", ("margaret", "niklaus", "ole", "peter", "radia")),
    "research": ("CC-2100", ("rosalind", "shafi", "sophie", "tim")),
    "support": ("CC-3100", ("ursula", "vint", "wendy", "yvonne")),
}
_ROLES: Final = {"grace": Role.AUDITOR, "wendy": Role.READER}
_SURNAMES: Final = (
    "Berg",
    "Costa",
    "Diaz",
    "Evans",
    "Fischer",
    "Garcia",
    "Haas",
    "Ito",
    "Jansen",
    "Kaya",
    "Lopez",
    "Moreau",
)
RESTRICTED: Final = "claude-opus-4-8"
"""The model that the support team may not use."""


class Person(NamedTuple):
    """Somebody who calls."""

    id: UUID
    name: str
    team: str
    group_ids: tuple[UUID, ...]
    token_id: str
    cost_centre: str
    role: Role


class Company(NamedTuple):
    """People, and the ids of their groups by name."""

    people: tuple[Person, ...]
    groups: dict[str, UUID]


def company_of(seed: int) -> Company:
    """Make the company: the same for the same seed."""
    random = Random(f"{seed} people")
    groups = {team: example_id(random) for team in _TEAMS}
    people: list[Person] = []
    for team, (cost_centre, names) in _TEAMS.items():
        for name in names:
            token_id = EXAMPLE_TOKEN_PREFIX + f"{len(people):03d}"
            role = _ROLES.get(name, Role.MEMBER)
            people.append(Person(example_id(random), name, team, (groups[team],), token_id, cost_centre, role))
    return Company(tuple(people), groups)


def username_of(person: Person) -> str:
    """The name by which somebody is known."""
    return f"{person.name}@{DOMAIN}"


def group_documents(company: Company, taken: Collection[str], at: datetime) -> list[dict[str, Any]]:
    """Make the documents of the groups; one whose name is taken has another one."""
    return [
        {
            "_id": id_,
            "schema_version": 1,
            "name": f"{team}-example" if team in taken else team,
            "display_name": team.capitalize(),
            "created_at": at,
            "removed_at": None,
        }
        for team, id_ in company.groups.items()
    ]


def user_documents(company: Company, at: datetime) -> list[dict[str, Any]]:
    """Make the documents of the users."""
    return [
        {
            "_id": one.id,
            "schema_version": 1,
            "username": username_of(one),
            "display_name": f"{one.name.capitalize()} {_SURNAMES[number % len(_SURNAMES)]}",
            "role": one.role.value,
            "cost_centre": one.cost_centre,
            "created_at": at + timedelta(minutes=number),
            "removed_at": None,
            "group_ids": list(one.group_ids),
        }
        for number, one in enumerate(company.people)
    ]


def token_documents(company: Company, at: datetime) -> list[dict[str, Any]]:
    """Make the documents of the tokens. Nobody can sign in with one: what is digested is no secret that a token may have."""
    return [
        {
            "_id": one.token_id,
            "schema_version": 1,
            "name": "laptop",
            "secret_sha256": digest(""),
            "created_at": at,
            "expires_at": None,
            "revoked_at": None,
            "user_id": one.id,
        }
        for one in company.people
    ]


def policy_documents(company: Company, spent: int, names: dict[UUID, str], at: datetime) -> list[dict[str, Any]]:
    """Make the documents of the policies: a budget of which most is used, a rate, and a model that a team may not use.

    `spent` is what the first team spent this month, in whole dollars; `names` are of the groups that are there.
    """
    budget = Budget(max(round(spent / 0.93), 1), "month")
    of_team = {
        "platform": SharedPolicy(limits=SharedLimits(together=Limits(budget=budget))),
        "research": SharedPolicy(limits=SharedLimits(each_member=Limits(rate=Rate(60, "1m"), concurrency=8))),
        "support": SharedPolicy(models=Models(deny=[RESTRICTED])),
    }
    return [
        document_of(KeptPolicy(Source(Level.GROUP, format_id(id_), names[id_]), of_team[team], "example", at))
        for team, id_ in company.groups.items()
        if team in of_team and id_ in names
    ]


def names_of(documents: Sequence[dict[str, Any]]) -> dict[UUID, str]:
    """The names of groups by id."""
    return {one["_id"]: one["name"] for one in documents}
