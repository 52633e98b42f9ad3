"""What policies say of a call: which models it may ask for, and how much they may write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from handlers.dataplane.proxy import ProxyHandler
from handlers.problems import Problem
from intercept.apis import RequestedModels, RequestSummary
from intercept.records import CredentialKind, StartRecord
from intercept.refusals import Rule
from limits.policies.effective import Effective, ModelRefusal

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
TOO_MANY_TOKENS = "The request asks for {:,} tokens; {} allows {:,} at most."
MAX_QUOTED = 100
"""How much of the name of a model is said back, in characters."""


def check_policy(
    handler: ProxyHandler, start: StartRecord, summary: RequestSummary, requested_models: RequestedModels
) -> None:
    """Check that a policy of the caller lets a call be made. No waiting helps where it does not.

    Args:
        handler: Of its connection.
        start: Its start record.
        summary: What was read of the request.
        requested_models: Which models it names.

    Raises:
        Problem: 403 or 400, a policy refuses it.
    """
    if (policy := handler.policy) is None:
        return
    provider_name = start.requested_provider_name or start.provider_name
    summary = replace(summary, model=start.model)
    if (form := handler.form) is not None and policy.refuse_unread(provider_name) is not None:
        form.allow_models(summary.other_models or ())
    is_free = start.credential_kind is CredentialKind.BYOK
    restricted = refuse_unread(policy, provider_name, lambda: is_free)
    if requested_models is RequestedModels.UNREAD and restricted is not None:
        message = UNREAD_MODELS.format(provider_name, restricted.rule)
        raise Problem(403, message, rule=Rule.MODEL_NOT_ALLOWED, policy=str(restricted.source))
    if requested_models is not RequestedModels.ONE:
        return
    if restricted is not None and (odd := odd_model(summary)):
        message = ODD_MODEL.format(odd, restricted.rule)
        raise Problem(400, message, rule=Rule.UNUSABLE_BODY, policy=str(restricted.source))
    check_models(handler, provider_name, summary, is_billed=start.billed)
    if policy.max_tokens is None:
        return
    maximum, source = policy.max_tokens
    refuse_odd_count(summary, f"{source} allows {maximum:,} tokens", str(source))
    max_output = summary.max_output_tokens or 0
    if max_output > maximum:
        message = TOO_MANY_TOKENS.format(max_output, source, maximum)
        raise Problem(400, message, rule=Rule.TOO_MANY_TOKENS, policy=str(source))


def check_models(handler: ProxyHandler, provider_name: str, summary: RequestSummary, *, is_billed: bool = True) -> None:
    """Check that a policy of the caller allows each model of a request.

    Raises:
        Problem: 403, a policy refuses one.
    """
    found = find_refused(handler, provider_name, summary, is_billed=is_billed)
    if found is not None:
        model, refused = found
        message = UNREAD_OTHERS.format(provider_name, refused.rule)
        if model:
            message = MODEL_NOT_ALLOWED.format(model[:MAX_QUOTED], provider_name, refused.rule)
        raise Problem(403, message, rule=Rule.MODEL_NOT_ALLOWED, policy=str(refused.source))


def find_refused(
    handler: ProxyHandler, provider_name: str, summary: RequestSummary, *, is_billed: bool
) -> tuple[str, ModelRefusal] | None:
    """Find the first model of a request that a policy refuses, and why: the named one, others, and Azure's deployment.

    It is named "" if it is one of others that cannot be read.
    """
    if (policy := handler.policy) is None:
        return None

    def has_price(model: str) -> bool:
        if not is_billed or handler.credentials.own_key is not None:
            return True
        return handler.bridge.pricing.has_price(provider_name, model, handler.bridge.now())

    is_unread = summary.other_models is None or odd_model(summary)
    if is_unread and (refused := refuse_unread(policy, provider_name, partial(has_price, ""))) is not None:
        return "", refused
    for one in (summary.model, *(summary.other_models or ())):
        if (refused := policy.refuse_model(provider_name, one, partial(has_price, one))) is not None:
            return one, refused
    if summary.deployment and (refused := policy.refuse_model(provider_name, summary.deployment)) is not None:
        return summary.deployment, refused
    return None


def odd_model(summary: RequestSummary) -> str:
    """Return what names a model in an odd form: a member, or a name with white space around it; "" for nothing."""
    models = (summary.model, summary.deployment, *(summary.other_models or ()))
    return summary.odd_model or next((one[:MAX_QUOTED] for one in models if one != one.strip()), "")


def refuse_unread(policy: Effective, provider: str, has_price: Callable[[], bool]) -> ModelRefusal | None:
    """Which rule a call may break whose models are not read; None if every model of the provider may be used."""
    return policy.refuse_unread(provider) or policy.refuse_model(provider, "", has_price)


def refuse_odd_count(summary: RequestSummary, why: str, policy: str | None = None) -> None:
    """Check that it can be read how much the model may write, `why` that matters.

    Raises:
        Problem: 400, it cannot.
    """
    if odd := summary.odd_count:
        raise Problem(400, ODD_COUNT.format(odd, why), rule=Rule.UNUSABLE_BODY, policy=policy)
