"""`/api/v2/aibridge/policies`: which models may be used, and how much. Owners change them, auditors may read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.api.accounts.changes import INVALID_BODY, ChangeHandler
from handlers.bridge import Bridge
from handlers.problems import Problem, ValidationProblem
from limits.policies.notes import notes_on
from limits.policies.patterns import unknown_providers
from limits.policies.policy import AnyPolicy
from limits.policies.reading import InvalidPolicyError, fields_of, merge, read_object, read_policy
from limits.policies.sources import Level
from resources.accounts.policies import ListedPolicy
from resources.fields import ListPage
from storage.policies.documents import kind_of
from storage.policies.store import PolicyStore

MAX_POLICY_BYTES = 64 * 1024
NOT_YOURS_TO_SEE = "Only owners and auditors may see policies."
NOT_YOURS_TO_CHANGE = "Only owners may change policies."
NOTE_HEADER = "X-AI-Bridge-Note"
UNKNOWN_PROVIDER = "there is no provider of this name, so it would match nothing; there are {}"


def store_of(bridge: Bridge) -> PolicyStore:
    """The policies of a bridge; changes hold in this process at once."""
    return PolicyStore(bridge.database, bridge.identities, bridge.groups, now=bridge.now, on_change=bridge.policies.put)


class PoliciesHandler(ChangeHandler):
    """All policies."""

    async def get(self) -> None:
        """Respond with `{"count": n, "results": [..]}`: whose policies there are."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        count, policies = await store_of(self.bridge).page(**self.page())
        self.write_json(ListPage(count, [ListedPolicy.of(one) for one in policies]))


class PolicyHandler(ChangeHandler):
    """The policy of everyone, of a group, a user or a token."""

    max_body_bytes = MAX_POLICY_BYTES

    def initialize(self, bridge: Bridge, level: Level) -> None:  # type: ignore[override]
        """Receive the running bridge, and the level of the policies."""
        super().initialize(bridge)
        self._level = level

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say also what is wrong with a policy."""
        if not isinstance(error, InvalidPolicyError):
            return super().problem_of(error)
        if not error.field:
            return ValidationProblem(INVALID_BODY, error.rule)
        return ValidationProblem(INVALID_BODY, validations=[(error.field, error.rule)])

    async def get(self, reference: str = "") -> None:
        """Respond with the policy, `{}` where there is none, with its version as `ETag`."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        self.parameters()
        kept = await store_of(self.bridge).get(self._level, reference)
        self.write_json(kept.policy, version=kept.version)

    async def put(self, reference: str = "") -> None:
        """Replace the policy, and respond with it."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        fields = self.read_with(read_object)
        await self._change(reference, lambda _: fields)

    async def patch(self, reference: str = "") -> None:
        """Apply a JSON merge patch (RFC 7396); respond with the changed policy."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        change = self.read_with(read_object)
        await self._change(reference, lambda fields: merge(fields, change), uses_present=True)

    async def delete(self, reference: str = "") -> None:
        """Remove the policy: 204, also if there is none."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await store_of(self.bridge).change(
            self._level, reference, lambda policy: type(policy)(), versions=self.versions, author=self.author
        )
        self.set_status(204)

    async def _change(self, reference: str, make: Any, *, uses_present: bool = False) -> None:
        kind = kind_of(self._level)

        def change(before: AnyPolicy) -> AnyPolicy:
            policy = read_policy(make(fields_of(before)), kind)
            check_providers(policy, self.bridge.providers)
            return policy

        kept = await store_of(self.bridge).change(
            self._level,
            reference,
            change,
            versions=self.versions,
            author=self.author,
            uses_present=uses_present,
        )
        for note in notes_on(kept.policy):
            self.add_header(NOTE_HEADER, note)
        self.write_json(kept.policy, version=kept.version)


def check_providers(policy: AnyPolicy, providers: Mapping[str, object]) -> None:
    """Check that each pattern of a provider matches one.

    Raises:
        InvalidPolicyError: One matches none.
    """
    if policy.models and (field := next(unknown_providers(policy.models, providers), "")):
        raise InvalidPolicyError(f"models.{field}", UNKNOWN_PROVIDER.format(", ".join(sorted(providers))))
