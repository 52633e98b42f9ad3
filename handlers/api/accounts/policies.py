"""Policies: which models may be used, and how much. Owners change them, auditors may read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from handlers.api.accounts.groups import GroupName
from handlers.api.accounts.tokens import Id as TokenId
from handlers.api.accounts.users import UserName
from handlers.bridge import Bridge
from handlers.operations.operation import AUDITORS, OWNERS, Ask, Noted, Operation, ReadBy, Tagged, Versions, operation
from handlers.operations.query import Paged
from limits.policies.notes import notes_on
from limits.policies.patterns import unknown_providers
from limits.policies.policy import AnyPolicy, Budget, Limits, Models, Policy, Rate, SharedLimits, SharedPolicy
from limits.policies.reading import InvalidPolicyError, fields_of, merge, read_object, read_policy
from limits.policies.sources import Level
from resources.accounts.policies import ListedPolicy
from resources.fields import ListPage
from storage.policies.documents import kind_of
from storage.policies.store import PolicyStore

MAX_POLICY_BYTES: Final = 64 * 1024
UNKNOWN_PROVIDER = "there is no provider of this name, so it would match nothing; there are {}"

_UNREADABLE = {409: "This version of the bridge cannot read the policy: replace it as a whole, or remove it."}
_SHARED = SharedPolicy(
    models=Models(allow=["claude-*"]),
    limits=SharedLimits(
        each_member=Limits(rate=Rate(60, "1m"), budget=Budget("50.00", "month")),
        together=Limits(concurrency=20, budget=Budget("1000.00", "month")),
    ),
)
_OWN = Policy(limits=Limits(budget=Budget("200.00", "month")), max_tokens=32000, byok="deny")


def store_of(bridge: Bridge) -> PolicyStore:
    """The policies of a bridge; changes hold in this process at once."""
    return PolicyStore(bridge.database, bridge.identities, bridge.groups, now=bridge.now, on_change=bridge.policies.put)


@operation("GET", "policies", AUDITORS)
async def list_policies(ask: Ask, query: Paged) -> ListPage[ListedPolicy]:
    """List policies.

    Whose there are.
    """
    count, policies = await store_of(ask.bridge).page(limit=query.limit, offset=query.offset)
    return ListPage(count, [ListedPolicy.of(one) for one in policies])


def _operations_on(level: Level, path: str, name: str, whose: str, **part: Any) -> list[Operation]:
    """Declare the operations on the policies of one level. `part` is the part of the path that says whose it is."""
    kind: Any = kind_of(level)

    async def read(ask: Ask, **of: str) -> Any:
        kept = await store_of(ask.bridge).get(level, next(iter(of.values()), ""))
        return Tagged(kept.policy, kept.version)

    async def replace(ask: Ask, body: Any, versions: Versions, **of: str) -> Any:
        return await _change(ask, level, of, versions, lambda _: body)

    async def merge_into(ask: Ask, body: Any, versions: Versions, **of: str) -> Any:
        return await _change(ask, level, of, versions, lambda fields: merge(fields, body), uses_present=True)

    async def remove(ask: Ask, versions: Versions, **of: str) -> None:
        reference = next(iter(of.values()), "")
        await store_of(ask.bridge).change(
            level, reference, lambda policy: type(policy)(), versions=versions, author=ask.author
        )

    def declare(function: Any, verb: str, text: str, **hints: Any) -> Any:
        """Say of a function what is of this level: it is named and documented by that."""
        function.__name__, function.__doc__ = f"{verb}_{name}_policy", text.format(whose)
        function.__annotations__ = {"ask": Ask, "return": Noted[kind], **part, **hints}
        return function

    whole, patch = Annotated[Any, ReadBy(read_object, kind)], Annotated[Any, ReadBy(read_object, dict[str, Any])]
    changes: dict[str, Any] = {"tag": "policies", "max_body": MAX_POLICY_BYTES}
    return [
        operation("GET", path, AUDITORS, tag="policies", raises=_UNREADABLE)(
            declare(read, "get", _READ, **{"return": Tagged[kind]})
        ),
        operation("PUT", path, OWNERS, example=_SHARED if kind is SharedPolicy else _OWN, **changes)(
            declare(replace, "set", _REPLACE, body=whole, versions=Versions)
        ),
        operation("PATCH", path, OWNERS, example=_PATCH, raises=_UNREADABLE, **changes)(
            declare(merge_into, "change", _CHANGE, body=patch, versions=Versions)
        ),
        operation("DELETE", path, OWNERS, tag="policies")(
            declare(remove, "remove", _REMOVE, versions=Versions, **{"return": type(None)})
        ),
    ]


_READ = "Read the policy of {}.\n\n`{{}}` where there is none."
_REPLACE = "Replace the policy of {}.\n\nIt acts on every server within 2 s."
_CHANGE = (
    "Change the policy of {}.\n\nA JSON merge patch (RFC 7396): fields that are not given stay, fields that are null are "
    "removed, at any depth."
)
_REMOVE = "Remove the policy of {}."
_PATCH = {"models": {"deny": ["*-preview"]}}

OPERATIONS = [
    *_operations_on(Level.EVERYONE, "policies/everyone", "everyones", "everyone"),
    *_operations_on(Level.GROUP, "policies/groups/{group}", "group", "a group", group=GroupName),
    *_operations_on(Level.USER, "policies/users/{user}", "user", "a user", user=UserName),
    *_operations_on(Level.TOKEN, "policies/tokens/{token}", "token", "a token", token=TokenId),
]


async def _change(
    ask: Ask,
    level: Level,
    of: Mapping[str, str],
    versions: Versions,
    make: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    uses_present: bool = False,
) -> Noted[AnyPolicy]:
    def change(before: AnyPolicy) -> AnyPolicy:
        policy = read_policy(make(fields_of(before)), kind_of(level))
        if ask.knows_all_providers:
            check_providers(policy, ask.bridge.providers)
        return policy

    kept = await store_of(ask.bridge).change(
        level,
        next(iter(of.values()), ""),
        change,
        versions=versions,
        author=ask.author,
        uses_present=uses_present,
    )
    known = None if ask.knows_all_providers else ask.bridge.providers
    return Noted(kept.policy, kept.version, notes_on(kept.policy, known))


def check_providers(policy: AnyPolicy, providers: Mapping[str, object]) -> None:
    """Check that each pattern of a provider matches one.

    Raises:
        InvalidPolicyError: One matches none.
    """
    if policy.models and (field := next(unknown_providers(policy.models, providers), "")):
        raise InvalidPolicyError(f"models.{field}", UNKNOWN_PROVIDER.format(", ".join(sorted(providers))))
