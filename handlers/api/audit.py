"""The audit trail: who changed what of users and tokens, who signed in, and who was refused."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.api.accounts import UserOrMe
from handlers.api.policies import find_user
from handlers.operations.operation import AUDITORS, Ask, operation
from handlers.operations.query import INVALID, Limit, Ranged
from handlers.problems import ValidationProblem
from intercept.times import format_time
from resources.bodies import Readers
from resources.fields import Count, Time, WholeList, doc
from storage.accounts.events import Action, Plane, Reason, Way
from storage.accounts.users import Role
from storage.mongo.documents.stored import Stored, StoredTime
from storage.queries.accounts import AuditQuery, audit_page
from storage.queries.paging import UnknownCursorError


class Actor(Stored, frozen=True):
    """Who did it."""

    id: Annotated[UUID | None, doc("Null for the command line, and if the user is unknown.")]
    username: Annotated[
        str,
        doc(
            "As it was then. If the id is null: `command line (ACCOUNT)` with the account of the machine, `single sign-on` "
            "or `unknown caller`, which no user can have."
        ),
    ]
    token_id: Annotated[
        str | UnsetType, doc("The public part of the token. Absent for the command line and for an unknown token.")
    ] = UNSET


class Subject(Stored, frozen=True):
    """The user concerned: the changed user, the owner of the token or call, or the member of a group."""

    id: UUID
    username: str


class Detail(Stored, frozen=True):
    """Details of the action; only those that apply are present."""

    session_id: Annotated[
        str | UnsetType, doc("The session that was ended; of `calls.read` the session of calls that was read.")
    ] = UNSET
    token_id: str | UnsetType = UNSET
    replaced_by: Annotated[str | UnsetType, doc("The new token that replaces it.")] = UNSET
    group_id: UUID | UnsetType = UNSET
    group: Annotated[str | UnsetType, doc("The name of the group.")] = UNSET
    group_before: str | UnsetType = UNSET
    members: Annotated[Count | UnsetType, doc("The number of members that a removed group had.")] = UNSET
    provider: Annotated[str | UnsetType, doc("The provider that was added, changed or removed.")] = UNSET
    changes: Annotated[list[str] | UnsetType, doc("The names of its fields that were changed.")] = UNSET
    role: Role | UnsetType = UNSET
    role_before: Role | UnsetType = UNSET
    name: Annotated[
        str | UnsetType, doc("Of the user, of the token or of the view; the display name of the group.")
    ] = UNSET
    name_before: str | UnsetType = UNSET
    issuer: Annotated[str | UnsetType, doc("The identity provider of a user who signs in there.")] = UNSET
    expires_at: Annotated[StoredTime | UnsetType | None, doc("When the token expires; null is never.")] = UNSET
    revoked_tokens: Annotated[Count | UnsetType, doc("The number of tokens that a removed user had.")] = UNSET
    policy: Annotated[str | UnsetType, doc("The policy, as in `group research`.")] = UNSET
    policy_before: Annotated[str | UnsetType, doc("Before the change, as JSON.")] = UNSET
    policy_after: Annotated[str | UnsetType, doc("After the change, as JSON.")] = UNSET
    way: Annotated[Way | UnsetType, doc("How the calls were read.")] = UNSET
    interception_id: Annotated[str | UnsetType, doc("The call that was read, unless there were too many.")] = UNSET
    prices_removed: Annotated[list[str] | UnsetType, doc("The own prices that were removed, each in a line.")] = UNSET
    prices_added: Annotated[list[str] | UnsetType, doc("Those that were added.")] = UNSET
    view_id: Annotated[UUID | UnsetType, doc("The saved view; `name` is its name.")] = UNSET
    webhook_id: Annotated[UUID | UnsetType, doc("The webhook.")] = UNSET
    recost_id: Annotated[UUID | UnsetType, doc("The job that prices calls again.")] = UNSET
    start: Annotated[StoredTime | UnsetType, doc("Of calls that started at this time or later,")] = UNSET
    end: Annotated[StoredTime | UnsetType, doc("and before this time.")] = UNSET
    reason: Annotated[Reason | UnsetType, doc("Why authentication failed.")] = UNSET
    message: Annotated[str | UnsetType, doc("The message to the refused request.")] = UNSET
    plane: Annotated[Plane | UnsetType, doc("The part of the API: the control plane or the data plane.")] = UNSET
    count: Annotated[Count | UnsetType, doc("How often it happened within an hour, from `at` on.")] = UNSET
    last_at: Annotated[StoredTime | UnsetType, doc("The time of the last one.")] = UNSET


class Entry(Stored, frozen=True):
    """A change, a sign-in, requests that were refused, or calls of others that were read."""

    id: UUID
    at: StoredTime
    actor: Actor
    action: Action
    subject: Annotated[Subject | None, doc("Null if nothing was changed, and for a group or provider.")]
    detail: Detail
    client_ip: Annotated[
        str | None,
        doc(
            "The client's address, of who was refused by IPv6 its /64 network. Null for the command line, "
            "and where too many others were refused to name each."
        ),
    ]


KINDS: Final = tuple(dict.fromkeys(action.partition(".")[0] for action in Action))
"""What actions are of: each stands for all of it."""

READS: Final = 10
"""Reads of the calls of a user that are listed."""

UNKNOWN_CURSOR = "no entry with this id"


def read_actions(text: str) -> tuple[Action, ...]:
    """Read actions and kinds of them, separated by commas.

    Raises:
        ValueError: With one that there is not.
    """
    actions: list[Action] = []
    for name in filter(None, text.split(",")):
        found = [action for action in Action if name in {action.value, action.partition(".")[0]}]
        if not found:
            raise ValueError(f"has {name!r}; it may have {', '.join((*KINDS, *Action))}")
        actions += found
    return tuple(actions)


class EntryQuery(Ranged, frozen=True):
    """Which entries."""

    readers: ClassVar[Readers] = {"action": read_actions}

    limit: Limit = 100
    after_id: Annotated[UUID | None, doc("Start after this one: the last of the previous page.")] = None
    action: Annotated[
        tuple[Action, ...],
        Meta(
            description=f"What was done: one or several of {', '.join(Action)}, with commas; or all of a kind: "
            f"{', '.join(KINDS)}.",
            examples=["policy,token.created"],
        ),
    ] = ()
    user: Annotated[
        str, Meta(description="Who did it or whom it concerned: a username in any case, or an id.", examples=["ada"])
    ] = ""


@operation("GET", "audit", AUDITORS)
async def list_audit(ask: Ask, query: EntryQuery) -> WholeList[Entry]:
    """List the entries of the audit trail.

    Changes to users and tokens, sign-ins and refused accesses, newest first.
    """
    start, end = query.within(ask.bridge.now())
    wanted = AuditQuery(start=start, end=end, actions=query.action, user=query.user)
    try:
        entries = await audit_page(ask.bridge.database, wanted, limit=query.limit, after_id=query.after_id)
    except UnknownCursorError as error:
        raise ValidationProblem(INVALID, validations=[("after_id", UNKNOWN_CURSOR)]) from error
    return WholeList([Entry.of(entry) for entry in entries])


class Read(Struct):
    """Calls of a user that somebody else was shown, within an hour."""

    at: Time
    by: Annotated[str, doc("The username of who read them, as it was then.")]
    count: Annotated[Count, doc("How many calls or sessions were shown.")]


class Reads(Struct):
    """How long the calls of a user are kept, and who read them last."""

    kept_seconds: Annotated[float | None, doc("How long a call is kept after its start; null is for good.")]
    reads: Annotated[list[Read], doc("The last ones, newest first; none are older than a year.")]


@operation("GET", "users/{name}/reads", AUDITORS, own=True, tag="audit")
async def list_reads(ask: Ask, name: UserOrMe) -> Reads:
    """Read who was shown what a user wrote.

    The last ten of these entries of the audit trail. A policy may have texts removed before their call is.
    """
    user = await find_user(ask.bridge, name, ask.user)
    wanted = AuditQuery(actions=(Action.CALLS_READ,), subject=user.username)
    entries = await audit_page(ask.bridge.database, wanted, limit=READS)
    return Reads(
        kept_seconds=ask.bridge.settings.retention.total_seconds() or None,
        reads=[
            Read(format_time(one["at"]), one["actor"]["username"], one["detail"].get("count", 1)) for one in entries
        ],
    )
