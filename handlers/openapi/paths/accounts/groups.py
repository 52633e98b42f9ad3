"""Groups of users."""

from __future__ import annotations

from handlers.api.accounts.groups import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from handlers.openapi.errors import not_members, only_owners, problem
from handlers.openapi.methods import delete, get, patch, post, put
from handlers.openapi.operations import ETAG, IF_MATCH, Described, body, in_path, json_response
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.accounts.groups import Group, GroupChange, NewGroup
from resources.accounts.users import User
from resources.fields import ListPage
from storage.accounts.groups import BUILT_IN, CHANGED, MAX_GROUPS_OF_USER, TOO_MANY

NAME = in_path("group", str, "The name of the group, in any case, or its id.")
_USER = in_path("user", str, "The username, in any case, or the id of the user.")
NO_GROUP = problem("There is no such group.", 'There is no group named "research".', f"{BUILT_IN}.")
_NOBODY = problem("There is no such group or user.", 'There is no user named "grace".')
_TAKEN = problem("The name is taken.", 'A group named "research" exists already.')
_CHANGED = problem("It was changed at the same time.", f"T{CHANGED.format('research')[1:]}.")
_ONLY_OWNERS = only_owners(NOT_YOURS_TO_CHANGE)
_NOT_MEMBERS = not_members(NOT_YOURS_TO_SEE)

_HAS_POLICY = problem("It has a policy.", 'The group "research" has a policy: remove that first.')

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/groups": get(
        "listGroups",
        "The groups of users",
        "By name. For owners, auditors and readers. `everyone`, which is built in and has all users, is not among them.",
        parameters=(LIMIT, OFFSET),
        responses={"200": json_response("The page.", ListPage[Group])} | _NOT_MEMBERS,
    )
    | post(
        "addGroup",
        "Add a group",
        "For owners.",
        request=body(research=NewGroup("research", "Research")),
        responses={"201": json_response("The group.", Group, ETAG), "409": _TAKEN} | _ONLY_OWNERS,
    ),
    "/api/v2/aibridge/groups/{group}": get(
        "getGroup",
        "A group",
        "For owners, auditors and readers.",
        parameters=(NAME,),
        responses={"200": json_response("The group.", Group, ETAG), "404": NO_GROUP} | _NOT_MEMBERS,
    )
    | patch(
        "changeGroup",
        "Change a group",
        "For owners. Fields that are not given stay unchanged.",
        parameters=(NAME, IF_MATCH),
        request=body(name=GroupChange(display_name="Research")),
        responses={
            "200": json_response("The group after the change.", Group, ETAG),
            "404": NO_GROUP,
            "409": _TAKEN,
            "412": _CHANGED,
        }
        | _ONLY_OWNERS,
    )
    | delete(
        "removeGroup",
        "Remove a group",
        "For owners. Its members stay users, and calls stay recorded with it.",
        parameters=(NAME, IF_MATCH),
        responses={
            "204": {"description": "The group is gone."},
            "404": NO_GROUP,
            "409": _HAS_POLICY,
            "412": _CHANGED,
        }
        | _ONLY_OWNERS,
    ),
    "/api/v2/aibridge/groups/{group}/members": get(
        "listMembers",
        "The members of a group",
        "By username. For owners, auditors and readers.",
        parameters=(NAME, LIMIT, OFFSET),
        responses={
            "200": json_response("The page.", ListPage[User]),
            "404": NO_GROUP,
        }
        | _NOT_MEMBERS,
    ),
    "/api/v2/aibridge/groups/{group}/members/{user}": put(
        "addMember",
        "Add a user to a group",
        "For owners. No body is needed.",
        parameters=(NAME, _USER),
        responses={
            "204": {"description": "The user is in the group, by this request or before."},
            "404": _NOBODY,
            "409": problem(
                "The user is in the maximum number of groups.", f"{TOO_MANY.format('grace', MAX_GROUPS_OF_USER)}."
            ),
        }
        | _ONLY_OWNERS,
    )
    | delete(
        "removeMember",
        "Remove a user from a group",
        "For owners.",
        parameters=(NAME, _USER),
        responses={"204": {"description": "The user is not in the group."}, "404": _NOBODY} | _ONLY_OWNERS,
    ),
}
