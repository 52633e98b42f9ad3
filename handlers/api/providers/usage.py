"""How a provider fares in a time range."""

from __future__ import annotations

from typing import Annotated

from handlers.api.providers.configured import configured
from handlers.api.providers.managed import UNKNOWN
from handlers.bridge import Bridge
from handlers.operations.operation import AUDITORS, Ask, operation
from handlers.operations.query import InHours
from handlers.problems import Problem
from limits.protection.circuit_breaker import CircuitState
from resources.fields import doc
from resources.recorded.provider_usage import MAX_MODELS, ProviderUsage, worst_of
from storage.queries.attempts import read_attempts
from storage.queries.questions.question import By, Dimension, Question


@operation("GET", "providers/{name}/usage", AUDITORS)
async def get_provider_usage(
    ask: Ask, name: Annotated[str, doc("The name of the provider.")], query: InHours
) -> ProviderUsage:
    """Read how a provider fares.

    Whether it is up, its circuit, its keys, and what all its calls of the time range add up to, of each model too. The requests
    are those of the latest 5,000 calls of all providers together, and `up` is what became of the latest of these.
    """
    bridge = ask.bridge
    provider = bridge.providers.get(name)
    if provider is None:
        raise Problem(404, UNKNOWN.format(name))
    start, end = query.range(bridge.now())
    question = Question(start, end, {"provider_name": name}, by=(By(Dimension.MODEL),), limit=MAX_MODELS)
    answer = await bridge.questions.answer(question)
    latest = await read_attempts(bridge.database, start, end)
    return ProviderUsage.of(configured(bridge, provider), latest, _circuits(bridge, name), question, answer)


def _circuits(bridge: Bridge, name: str) -> dict[str, CircuitState] | None:
    """The worst circuit of each model; None where circuits are off."""
    if bridge.breakers is None:
        return None
    states: dict[str, list[CircuitState]] = {}
    for key, state in bridge.breakers.states().items():
        if key.provider == name:
            states.setdefault(key.model, []).append(state)
    return {model: worst_of(each) for model, each in states.items()}
