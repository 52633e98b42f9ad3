"""What a call may use and has used, as its limits count it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from handlers.dataplane.proxy import ProxyHandler
from handlers.problems import Problem
from intercept.apis import RequestedModels, RequestSummary
from intercept.records import CredentialKind, Interception, Reading, TokenUsage
from intercept.refusals import Rule
from limits.charges import amounts_of, remaining
from limits.limit import NOTHING, Amounts
from limits.policies.effective import Effective, Refused
from storage.costs.prices import Cost

MODEL_NOT_ALLOWED = 'The model "{}" of {} may not be used here: {}.'
UNREAD_OTHERS = (
    "A request to {} must name its model here, and at most 64 in `models`, `fallbacks`, `plugins` and `tools`, "
    "as not all may be used: {}."
)
UNREAD_MODELS = "Batches of {} may not be created here, as nobody reads which models they ask for: {}."
ODD_MODEL = (
    "The request has {!r} in an unusual form. Models must be named once, under the usual name and without white space around "
    "theirs, as not all may be used: {}."
)
ODD_COUNT = (
    "The request has {!r} in an unusual form. It must be there once, under its usual name, as a whole number of at most "
    "9 digits, as what the model may write is limited: {}."
)
RESERVED = "its tokens are reserved"
TOO_MANY_TOKENS = "The request asks for {:,} tokens; {} allows {:,} at most."
MAX_QUOTED = 100
"""How much of the name of a model is said back, in characters."""


class Limited(Protocol):
    """What holds the slots and reservations of a call: its handler, or a call over a WebSocket."""

    @property
    def policy(self) -> Effective | None:
        """What policies say of the caller."""

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the call uses."""

    async def count_call(self, reserve: Callable[[], Amounts]) -> None:
        """Count the call for the limits that need its body; see `OverloadProtection.count_call`."""

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the call has used since its start."""


def find_refused(
    policy: Effective, provider: str, model: str, summary: RequestSummary, has_price: Callable[[str], bool]
) -> tuple[str, Refused] | None:
    """Find the first model of a request that a policy refuses, and why: the named one, others, and Azure's deployment.

    It is named "" if it is one of others that cannot be read.
    """
    is_unread = summary.other_models is None or odd_model(model, summary)
    if is_unread and (refused := refuse_unread(policy, provider, partial(has_price, ""))) is not None:
        return "", refused
    for one in (model, *(summary.other_models or ())):
        if (refused := policy.refuse_model(provider, one, partial(has_price, one))) is not None:
            return one, refused
    if summary.deployment and (refused := policy.refuse_model(provider, summary.deployment)) is not None:
        return summary.deployment, refused
    return None


def odd_model(model: str, summary: RequestSummary) -> str:
    """Return what names a model in an odd form: a member, or a name with white space around it; "" for nothing."""
    models = (model, summary.model, summary.deployment, *(summary.other_models or ()))
    return summary.odd_model or next((one[:MAX_QUOTED] for one in models if one != one.strip()), "")


def refuse_unread(policy: Effective, provider: str, has_price: Callable[[], bool]) -> Refused | None:
    """Which rule a call may break whose models are not read; None if every model of the provider may be used."""
    return policy.refuse_unread(provider) or policy.refuse_model(provider, "", has_price)


def check_models(
    policy: Effective, provider_name: str, model: str, summary: RequestSummary, has_price: Callable[[str], bool]
) -> None:
    """Check that each model of a request may be used.

    Raises:
        Problem: 403, a policy refuses one.
    """
    if (found := find_refused(policy, provider_name, model, summary, has_price)) is not None:
        model, refused = found
        message = UNREAD_OTHERS.format(provider_name, refused.rule)
        if model:
            message = MODEL_NOT_ALLOWED.format(model[:MAX_QUOTED], provider_name, refused.rule)
        raise Problem(403, message, rule=Rule.MODEL_NOT_ALLOWED, policy=str(refused.source))


class CallUsage:
    """Presents a call to the limits that need its body, and charges what the provider reports.

    Args:
        limited: The call.
        handler: Of its connection.
        start: The start record.
        summary: What was read of the request.
        requested_models: Which models it names.
    """

    def __init__(
        self,
        limited: Limited,
        handler: ProxyHandler,
        start: Interception,
        summary: RequestSummary,
        requested_models: RequestedModels = RequestedModels.ONE,
    ) -> None:
        self._limited = limited
        self._handler = handler
        self._start = start
        self._max_output = summary.max_output_tokens or 0
        self._requested_models = requested_models
        self._summary = summary
        self._reserved = NOTHING

    async def count(self) -> None:
        """Count the call, before it is recorded.

        Raises:
            Problem: 429 or 403, a limit refuses it; 403 or 400, a policy does; 400, what is to be reserved cannot be read.
        """
        if (policy := self._limited.policy) is not None:
            self._check(policy)
        await self._limited.count_call(self._reserve)

    def _check(self, policy: Effective) -> None:
        """Refuse what no waiting helps, before anything is counted."""
        start, max_output = self._start, self._max_output
        provider_name = start.requested_provider_name or start.provider_name
        if (form := self._handler.form) is not None and policy.refuse_unread(provider_name) is not None:
            form.allow_models(self._summary.other_models or ())
        restricted = refuse_unread(policy, provider_name, self._costs_nothing)
        if self._requested_models is RequestedModels.UNREAD and restricted is not None:
            message = UNREAD_MODELS.format(provider_name, restricted.rule)
            raise Problem(403, message, rule=Rule.MODEL_NOT_ALLOWED, policy=str(restricted.source))
        if self._requested_models is not RequestedModels.ONE:
            return
        if restricted is not None and (odd := odd_model(start.model, self._summary)):
            message = ODD_MODEL.format(odd, restricted.rule)
            raise Problem(400, message, rule=Rule.UNUSABLE_BODY, policy=str(restricted.source))
        check_models(policy, provider_name, start.model, self._summary, self._has_price)
        if policy.max_tokens is None:
            return
        maximum, source = policy.max_tokens
        self._refuse_odd_count(f"{source} allows {maximum:,} tokens", str(source))
        if max_output > maximum:
            message = TOO_MANY_TOKENS.format(max_output, source, maximum)
            raise Problem(400, message, rule=Rule.TOO_MANY_TOKENS, policy=str(source))

    def _refuse_odd_count(self, why: str, policy: str | None = None) -> None:
        if odd := self._summary.odd_count:
            raise Problem(400, ODD_COUNT.format(odd, why), rule=Rule.UNUSABLE_BODY, policy=policy)

    def _costs_nothing(self) -> bool:
        """Whether what the call uses costs the bridge nothing, whatever its model."""
        return self._start.credential_kind is CredentialKind.BYOK

    def _has_price(self, model: str) -> bool:
        """Whether a call of this model has a price, or costs the bridge nothing."""
        start = self._start
        if not start.billed or self._costs_nothing():
            return True
        return self._handler.bridge.recorder.has_price(start.provider_name, model, start.started_at)

    def charge(self, reading: Reading, cost: Cost | None) -> None:
        """Charge the usage so far, and reserve no more than the call may still use."""
        usages = reading.token_usages
        if usages and self._limited.is_charged:
            self._limited.charge(
                _amounts(self._handler, usages, cost), remaining(self._reserved, self._max_output, usages)
            )

    def _reserve(self) -> Amounts:
        self._refuse_odd_count(RESERVED)
        usages = (TokenUsage(provider_response_id="", output_tokens=self._max_output),)
        cost = self._handler.bridge.recorder.cost(self._start, Reading(token_usages=usages))
        self._reserved = _amounts(self._handler, usages, cost)
        return self._reserved


def charge_fetched(handler: ProxyHandler, reading: Reading, cost: Cost | None, before: Amounts = NOTHING) -> Amounts:
    """Charge what a response tells that an earlier request used, beside what it told `before`; return both together."""
    more = _amounts(handler, reading.token_usages, cost)
    used = Amounts(before.tokens + more.tokens, before.micro_dollars + more.micro_dollars)
    handler.charge(used)
    return used


def _amounts(handler: ProxyHandler, usages: Sequence[TokenUsage], cost: Cost | None) -> Amounts:
    return amounts_of(usages, cost and cost.usd, cache_reads=handler.overload.settings.count_cache_reads)
