"""Which policies there are, and what holds for a user and is used. What a policy says is in `limits.policies.policy`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from msgspec import UNSET, Meta, Struct, field, structs

from intercept.recording import Keep
from intercept.times import format_time
from limits.limit import NEVER_NS, Limit, LimitKind, LimitState, Of
from limits.policies.compiled import Applied, Level, PolicyHolder
from limits.policies.effective import Effective
from limits.policies.policy import Pattern
from resources.accounts import ListedToken
from resources.fields import Count, Initiator, Time, doc, of_fields, word
from resources.limits import MICRO_DOLLARS, LimitsScope, LimitsState, period_end
from resources.policy_summary import summarize
from resources.recorded.statistics import GroupTotals
from storage.policies.documents import KeptPolicy, path_of

Name = Annotated[str, doc("Of the group or user, the id of the token; empty for everyone.")]


class ListedPolicy(Struct):
    """A policy in the list of all."""

    path: Annotated[str, doc("Its path below `/policies/`, with the id.")]
    level: Level
    name: Name
    says: Annotated[str, doc("What it restricts, in a line for people; empty where nothing is.")]
    changed_at: Time | None

    @classmethod
    def of(cls, kept: KeptPolicy) -> Self:
        """Show a policy."""
        source = kept.source
        changed_at = format_time(kept.changed_at) if kept.changed_at else None
        return cls(path_of(source.level, source.key), source.level, source.name, summarize(kept.policy), changed_at)


class PolicySource(Struct):
    """Whose rule it is."""

    level: Annotated[Literal["settings", "everyone", "group", "user", "token"], doc("`settings` of the server.")]
    name: Name

    @classmethod
    def of(cls, source: PolicyHolder | None) -> Self:
        """Make it; None means the settings."""
        return cls("settings", "") if source is None else cls(word(source.level), source.name)


class ModelRule(Struct):
    """The models that a policy allows or denies. Null if it does not say."""

    source: PolicySource
    allow: list[Pattern] | None
    deny: list[Pattern] | None
    unpriced: Annotated[Literal["allow", "deny"] | None, doc("Whether models without a known price may be used.")]


class ModelDecision(Struct):
    """Whether the model in the request may be used."""

    provider: str
    allowed: bool
    rule: Annotated[str | None, doc("The rule that refuses it, as in `group research allows claude-*`.")]


class MaxTokensRule(Struct):
    """The maximum of `max_tokens` in a request."""

    source: PolicySource
    maximum: Count


class RecordingRule(Struct):
    """The texts that are recorded, by all policies together: the strictest of each kind."""

    sources: Annotated[list[PolicySource], doc("The policies that say something about it.")]
    prompts: Keep
    tool_inputs: Keep
    thoughts: Keep
    responses: Annotated[Keep, doc("Of the text of responses; `none` where no policy says it.")]
    errors: Annotated[Keep, doc("Of messages of errors: as of responses, and `full` where no policy says it.")]
    patterns: Annotated[list[str], doc("What is redacted in addition to what the bridge always finds.")]
    retention: Annotated[
        Count | None, doc("Days after which texts are removed; null if they stay as long as their call.")
    ]
    responses_retention: Annotated[
        Count | None, doc("The same of the text of responses; null if it stays as long as the other texts.")
    ]

    @classmethod
    def of(cls, effective: Effective | None) -> Self | None:
        """Make it; None if no policy restricts it."""
        if effective is None or (kept := effective.recording) is None:
            return None
        sources = [PolicySource.of(one.source) for one in effective.policies if one.policy.recording is not UNSET]
        return of_fields(
            cls,
            structs.asdict(kept),
            sources=sources,
            responses=kept.response_text,
            errors=kept.error_messages,
            patterns=list(kept.patterns),
        )


class LimitRule(Struct):
    """A limit: whose it is, how much is used, and when there will be more. Null is what does not apply to its kind."""

    source: PolicySource
    part: Annotated[
        Literal["each_member", "together"] | None,
        doc("Whether it counts each member or all together; null in a policy of a user or token."),
    ]
    kind: LimitKind
    of: Annotated[Of, doc("The requests that count together.")]
    maximum: Annotated[float, Meta(ge=0, description="Requests or tokens; for a budget, US dollars.")]
    used: Annotated[float, Meta(ge=0)]
    reserved: Annotated[float, Meta(ge=0, description="Held back for requests in progress.")]
    remaining: Annotated[float, Meta(ge=0)]
    window_seconds: Annotated[float | None, doc("The window of a rate or token limit.")]
    period: Annotated[Literal["day", "week", "month", "total"] | None, doc("Of a budget.")]
    resets_at: Annotated[
        Time | None, doc("When nothing is used any more, if no more requests come; for a budget, when its period ends.")
    ]
    next_free_at: Annotated[Time | None, doc("When the next request may start; null if that is unknown.")]
    shadow: Annotated[bool, doc("Whether it only counts, and refuses nothing.")]
    holds: Annotated[bool, doc("False if another budget replaces it.")]
    replaced_by: Annotated[PolicySource | None, doc("The policy with the budget that replaces it.")]

    @classmethod
    def of_limit(cls, limit: Limit, state: LimitState | None, now: datetime, applied: Applied | None = None) -> Self:
        """Show a limit; `applied` says from which policy it is, None that it is from the settings."""
        unit = MICRO_DOLLARS if limit.kind is LimitKind.BUDGET else 1
        used, reserved, remaining = (state.used, state.reserved, state.remaining) if state else (0, 0, limit.maximum)
        return cls(
            source=PolicySource.of(applied.source if applied else None),
            part=word(applied.part) if applied and applied.part else None,
            kind=limit.kind,
            of=limit.of,
            maximum=limit.maximum / unit,
            used=used / unit,
            reserved=reserved / unit,
            remaining=remaining / unit,
            window_seconds=limit.window_ns / 1e9 if limit.kind in (LimitKind.RATE, LimitKind.TOKENS) else None,
            period=word(limit.period) if limit.kind is LimitKind.BUDGET else None,
            resets_at=_resets_at(limit, state, now) if state else None,
            next_free_at=_next_free(limit, state, now) if state else None,
            shadow=limit.shadow,
            holds=applied is None or applied.replaced_by is None,
            replaced_by=PolicySource.of(applied.replaced_by) if applied and applied.replaced_by else None,
        )


class Explanation(Struct):
    """Every rule that applies to a user, where it comes from, and how much is used."""

    user: Initiator
    at: Time
    policies: Annotated[list[PolicySource], doc("The policies that apply, the widest first.")]
    model: Annotated[str | None, doc("The model in the request.")]
    decisions: Annotated[
        list[ModelDecision], doc("Whether that model may be used, by provider; empty without a model.")
    ]
    models: list[ModelRule]
    max_tokens: MaxTokensRule | None
    own_key_denied_by: Annotated[
        PolicySource | None, doc("The policy that forbids own keys of users; null if none does.")
    ]
    recording: Annotated[
        RecordingRule | None,
        doc("What is kept of texts in records; null if that is everything but the text of responses."),
    ]
    managed_settings: Annotated[
        dict[str, Any] | None,
        doc("What Claude Code gets where it signs in at the bridge; null if no policy says anything."),
    ]
    limits: list[LimitRule]


def _after(now: datetime, nanoseconds: int) -> str:
    return format_time(now + timedelta(microseconds=-(-nanoseconds // 1000)))


def _resets_at(limit: Limit, state: LimitState, now: datetime) -> str | None:
    if limit.kind is LimitKind.BUDGET:
        return period_end(now, state.reset_ns)
    return _after(now, state.reset_ns) if state.reset_ns else None


def _next_free(limit: Limit, state: LimitState, now: datetime) -> str | None:
    """Nobody knows when a request ends, and a limit of 0 never admits one."""
    if state.retry_after_ns == 0:
        return format_time(now)
    if state.retry_after_ns == NEVER_NS or limit.kind is LimitKind.CONCURRENCY:
        return None
    return _after(now, state.retry_after_ns)


MAX_TOKENS: Final = 100
"""Active tokens that are shown, those that were used last."""


class ActiveToken(ListedToken, frozen=True, kw_only=True):
    """An active token, and the usage of its own limits."""

    limits: Annotated[list[LimitRule], doc("The limits of this token, from the settings and its policy.")]


class UserUsage(Struct):
    """The current usage of a user by limit, and their calls in a time range."""

    user: Initiator
    at: Time
    from_: Annotated[Time, doc("The start of the time range.")] = field(name="from")
    to: Annotated[Time, doc("Its end, exclusive.")]
    total: Annotated[GroupTotals, doc("The totals of their calls in the time range.")]
    scope: LimitsScope
    state: LimitsState
    spend_usd: Annotated[
        float, Meta(ge=0, description="The cost of their calls since the start of the month in UTC, in US dollars.")
    ]
    limits: Annotated[
        list[LimitRule],
        doc("Of the settings and of the policies of everyone, their groups and the user, whatever the token."),
    ]
    tokens: Annotated[
        list[ActiveToken] | None,
        doc(
            f"At most {MAX_TOKENS} active ones, those that were used last first; null to a reader who asks for somebody else."
        ),
    ]
