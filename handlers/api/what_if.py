"""What proposed limits would have refused of past calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field, structs

from handlers.api.recorded.visibility import NOT_FOR_READERS, Sight
from handlers.operations.operation import Ask, Report, operation
from intercept.times import format_time
from limits.limit import LimitKind
from limits.past_calls import MAX_NAMED, LimitName, RefusedCall
from limits.policies.policy import Byok, Models, PolicyLimits, SharedLimits, SharedPolicy
from limits.policies.reading import InvalidPolicyError, read_policy
from limits.replay import Replay
from resources.bodies import InvalidBodyError, OtherReaders, Readers
from resources.fields import Count, Initiator, Time, doc, word
from resources.limits import MICRO_DOLLARS
from resources.prices import RangeBody
from resources.ranges import Problems
from storage.accounts.users import User
from storage.mongo.codec import EPOCH, read_ms
from storage.queries.past_calls import past_calls

MAX_ROWS: Final = 1000
"""How many limits of users are told, those that refused most."""

NOTHING_PROPOSED: Final = "must have a limit, in each_member or in together, where neither models nor byok is proposed"
REQUIRED: Final = "is required where neither models nor byok is proposed"
NOT_REPLAYED: Final[Mapping[str, str]] = {
    "max_tokens": "cannot be replayed: the record of a call does not have the max_tokens of its request",
    "recording": "refuses no call, so there is nothing to replay",
}
"""Fields of a policy that past calls tell nothing about, and why."""
_PROPOSED: Final = ("limits", "models", "byok")
_SECOND_NS: Final = 1_000_000_000


def _proposed(name: str) -> Callable[[object], Any]:
    def read(value: object) -> Any:
        try:
            return getattr(read_policy({name: value}, SharedPolicy), name)
        except InvalidPolicyError as error:
            raise InvalidBodyError([(error.field, error.rule)]) from error

    return read


class WhatIfBody(RangeBody, omit_defaults=True):
    """A time range, and what a policy of everyone has: at least one of `limits`, `models` and `byok`."""

    limits: SharedLimits | UnsetType = UNSET
    models: Models | UnsetType = UNSET
    byok: Byok | UnsetType = UNSET
    q: Annotated[str, doc("A search for the calls, as for interceptions, also by words.")] = ""

    readers: ClassVar[Readers] = {**RangeBody.readers, "q": str}
    other_readers: ClassVar[OtherReaders] = {name: _proposed(name) for name in _PROPOSED}
    missing: ClassVar[Mapping[str, str]] = NOT_REPLAYED

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the range, and whether nothing is proposed."""
        problems = super().check(now)
        if not self.names_models and not _has_limit(self.limits):
            problems.append(("limits", REQUIRED if self.limits is UNSET else NOTHING_PROPOSED))
        return problems

    @property
    def policy(self) -> SharedPolicy:
        """What is proposed, as a policy of everyone."""
        return SharedPolicy(limits=self.limits, models=self.models, byok=self.byok)

    @property
    def names_models(self) -> bool:
        """Whether it has rules about what calls requested, and not only limits."""
        return self.models is not UNSET or self.byok is not UNSET


class ProposedLimit(Struct):
    """One of the proposed limits, or a rule."""

    part: Annotated[Literal["each_member", "together"] | None, doc("Null for a rule.")]
    kind: Annotated[
        Literal["concurrency", "rate", "tokens", "budget", "models", "byok"],
        doc("`models` and `byok` are the rules of those names."),
    ]

    @classmethod
    def of(cls, name: LimitName) -> Self:
        """Show its name."""
        return cls(word(name.part) if name.part else None, word(name.kind))


class RefusedOfUser(Struct):
    """What one limit would have done to one user."""

    limit: ProposedLimit
    user: Initiator
    calls: Annotated[Count, doc("All calls of the user.")]
    refused: Annotated[Count, doc("Those of them that this limit refused first; each once.")]
    longest_wait_seconds: Annotated[float | None, doc("The longest wait that was told. Null where none was.")]


class RefusedOnce(Struct):
    """A call that would have been refused."""

    id: UUID
    started_at: Time
    user: Initiator
    limit: ProposedLimit
    maximum: Annotated[float | None, doc("Of the limit: requests, tokens or US dollars. Null for a rule.")]
    used: Annotated[float | None, doc("How much of it was used then. Null for a rule.")]
    wait_seconds: Annotated[float | None, doc("Null if no wait helps.")]
    rule: Annotated[
        str | UnsetType, doc("The rule in words, such as `everyone allows claude-*`. Absent for a limit.")
    ] = UNSET
    model: Annotated[str | UnsetType, doc("The requested model. Absent for a limit.")] = UNSET

    @classmethod
    def of(cls, one: RefusedCall, users: Mapping[UUID, User]) -> Self:
        """Show it."""
        unit = MICRO_DOLLARS if one.limit.kind == LimitKind.BUDGET else 1
        return cls(
            one.id,
            format_time(EPOCH + timedelta(milliseconds=one.started_ms)),
            Initiator.of(one.user, users),
            ProposedLimit.of(one.limit),
            None if one.rule else one.maximum / unit,
            None if one.rule else one.used / unit,
            None if one.wait_ns is None else one.wait_ns / _SECOND_NS,
            one.rule or UNSET,
            one.model if one.rule else UNSET,
        )


class WhatIf(Struct, kw_only=True):
    """How many calls would have been refused, of whom, when, and how long they would have waited."""

    from_: Time = field(name="from")
    to: Time
    calls: Count
    refused: Annotated[Count, doc("Each call once, whatever refused it and how often.")]
    by: Annotated[list[RefusedOfUser], doc(f"Those that refused most first, at most {MAX_ROWS}.")]
    first_refused: Annotated[list[RefusedOnce], doc(f"At most {MAX_NAMED}.")]


def _has_limit(limits: SharedLimits | UnsetType) -> bool:
    parts = (limits.each_member, limits.together) if limits else ()
    return any(one is not UNSET for part in parts if isinstance(part, PolicyLimits) for one in structs.astuple(part))


_EXAMPLE = {
    "from": "2026-11-16",
    "to": "2026-11-23",
    "limits": {"each_member": {"rate": {"requests": 60, "window": "1m"}}},
}


@operation("POST", "limits/what-if", shares=True, in_demo=True, raises={403: NOT_FOR_READERS}, example=_EXAMPLE)
async def try_limits(ask: Ask, body: WhatIfBody, report: Report) -> WhatIf:
    """Replay calls through proposed limits.

    Replays the calls of a time range through proposed limits and rules. Windows are empty at its begin, and a refused call
    counts nowhere. What a call used counts from its end. Owners, auditors and readers ask for the calls of all, members for
    their own.
    """
    bridge, settings = ask.bridge, ask.bridge.overload.settings
    query = await Sight(ask).query(body.q)
    replay = Replay(
        body.policy,
        settings.budget_zone,
        has_price=lambda model: bridge.pricing.has_price(model.provider, model.model, bridge.now()),
    )
    (start, end), ids = body.range(bridge.now(), []), None
    if query.search.texts is not None:
        ids = await bridge.questions.find(bridge.search.every(query), start, end)
    calls = past_calls(
        bridge.database,
        query.conditions,
        start,
        end,
        visible_to=ask.visible_to,
        cache_reads=settings.count_cache_reads,
        names_models=body.names_models,
        ids=ids,
    )
    async with aclosing(calls) as pages:
        async for page in pages:
            for _ in replay.decide(page):
                await asyncio.sleep(0)
            if page:
                at = read_ms(page[-1][0].started_ms)
                await report((at - start) / (end - start))
    outcome = replay.outcome
    users = await bridge.identities.users_by_id({user for _, user in outcome.totals})
    ranked = sorted(outcome.totals.items(), key=lambda item: -item[1].refused)[:MAX_ROWS]
    return WhatIf(
        from_=format_time(start),
        to=format_time(end),
        calls=outcome.calls.total(),
        refused=outcome.refused,
        by=[
            RefusedOfUser(
                ProposedLimit.of(name),
                Initiator.of(user, users),
                outcome.calls[user],
                totals.refused,
                totals.longest_ns / _SECOND_NS if totals.longest_ns else None,
            )
            for (name, user), totals in ranked
        ],
        first_refused=[RefusedOnce.of(one, users) for one in outcome.first],
    )
