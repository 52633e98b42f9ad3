"""Policies: who may use which model, and how much of it."""

from __future__ import annotations

from typing import Any

from handlers.api.accounts import explanation
from handlers.api.accounts.changes import TOO_LARGE
from handlers.api.accounts.policies import MAX_POLICY_BYTES, NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE, NOTE_HEADER
from handlers.openapi.errors import not_members, only_owners, problem
from handlers.openapi.methods import delete, get, patch, put
from handlers.openapi.operations import ETAG, IF_MATCH, Described, body, header, in_path, json_response, query
from handlers.openapi.paths.accounts.groups import NAME as GROUP
from handlers.openapi.paths.accounts.users import NOBODY
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from limits.policies.policy import AnyPolicy, Budget, Limits, Models, Policy, Rate, SharedLimits, SharedPolicy
from resources.accounts.policies import (
    Explanation,
    ListedPolicy,
)
from resources.fields import ListPage

_SHARED = SharedPolicy(
    models=Models(allow=["claude-*"]),
    limits=SharedLimits(
        each_member=Limits(rate=Rate(60, "1m"), budget=Budget("50.00", "month")),
        together=Limits(concurrency=20, budget=Budget("1000.00", "month")),
    ),
)
_OWN = Policy(limits=Limits(budget=Budget("200.00", "month")), max_tokens=32000, byok="deny")
_NOTED = ETAG | {
    NOTE_HEADER: header(
        str,
        "Warnings about the policy, one header for each.",
        "limits.together.budget.usd: 0 refuses every call that the bridge would pay for",
    )
}
_ONLY_OWNERS = only_owners(NOT_YOURS_TO_CHANGE)
_STALE = {
    "412": problem("It has another version.", "The policy of group research was changed meanwhile; read it again.")
}
UNREADABLE = (
    "The policy of group research cannot be read by this version, and has no effect here: quota: unknown field; replace it "
    "as a whole, or remove it."
)
_TOO_LARGE = {"413": problem(f"The body has more than {MAX_POLICY_BYTES} bytes.", TOO_LARGE.format(MAX_POLICY_BYTES))}


def _path(of: str, name: str, example: AnyPolicy, parameter: Described | None = None, *, nobody: str = "") -> Described:
    """The operations on the policies of one level."""
    parameters = () if parameter is None else (parameter,)
    missing = {"404": problem("There is no such user, group or token.", nobody)} if nobody else {}
    unreadable = {"409": problem("This version cannot read it.", UNREADABLE)}
    responses = {"200": json_response("The policy after the change.", type(example), _NOTED)}
    changed = responses | _ONLY_OWNERS | _STALE | missing | _TOO_LARGE
    return (
        get(
            f"get{name}Policy",
            f"The policy of {of}",
            "`{}` where there is none. For owners and auditors.",
            parameters=parameters,
            responses={
                "200": json_response("The policy.", type(example), ETAG),
                "403": problem("The caller is a member.", NOT_YOURS_TO_SEE),
            }
            | missing
            | unreadable,
        )
        | put(
            f"set{name}Policy",
            f"Replace the policy of {of}",
            "For owners. It acts on every server within 2 s.",
            parameters=(*parameters, IF_MATCH),
            request=body(policy=example),
            responses=changed,
        )
        | patch(
            f"change{name}Policy",
            f"Change the policy of {of}",
            "For owners. A JSON merge patch (RFC 7396): fields that are not given stay, fields that are null are removed, at any depth.",
            parameters=(*parameters, IF_MATCH),
            request=body(dict[str, Any], models={"models": {"deny": ["*-preview"]}}),
            responses=changed | unreadable,
        )
        | delete(
            f"remove{name}Policy",
            f"Remove the policy of {of}",
            "For owners.",
            parameters=(*parameters, IF_MATCH),
            responses={"204": {"description": "The policy is removed."}} | _ONLY_OWNERS | _STALE | missing,
        )
    )


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/policies": get(
        "listPolicies",
        "All policies",
        "For owners and auditors.",
        parameters=(LIMIT, OFFSET),
        responses={"200": json_response("The page.", ListPage[ListedPolicy])} | not_members(NOT_YOURS_TO_SEE),
    ),
    "/api/v2/aibridge/policies/everyone": _path("everyone", "Everyones", _SHARED),
    "/api/v2/aibridge/policies/groups/{group}": _path(
        *("a group", "Group", _SHARED),
        GROUP,
        nobody='There is no group named "research".',
    ),
    "/api/v2/aibridge/policies/users/{user}": _path(
        *("a user", "User", _OWN),
        in_path("user", str, "The username, in any case, or the id."),
        nobody='There is no user named "ada".',
    ),
    "/api/v2/aibridge/policies/tokens/{token}": _path(
        *("a token", "Token", _OWN),
        in_path("token", str, "The id of the token: the part before the hyphen."),
        nobody='No token with the id "d3W24SnZZB" (the part before the hyphen).',
    ),
    "/api/v2/aibridge/users/{name}/policy": get(
        "explainPolicy",
        "The limits and rules of a user",
        "Every rule, its source, how much is used, and when more is available. Members may request `me`.",
        parameters=(
            in_path("name", str, "The username, in any case, or `me`."),
            query("model", str, "Whether this model may be used."),
            query("provider", str, "At this provider; without it at each provider."),
            query("token", str, "With this token of the user, given by its id."),
        ),
        responses={
            "200": json_response("What holds.", Explanation),
            "403": problem("Members may only request themselves.", explanation.NOT_YOURS_TO_SEE),
            "404": NOBODY,
        },
    ),
}
