"""The rules of a proposed policy for past calls: which models and keys it allows. No limit is in it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from limits.policies.compiled import CompiledPolicy
from limits.policies.effective import Effective
from limits.what_if.past_calls import LimitName, RequestedModel

MAX_KNOWN: Final = 4096
"""How many decisions are remembered: clients choose the names of models."""

_MODELS: Final = LimitName("", "models")
_BYOK: Final = LimitName("", "byok")


class BrokenRule(NamedTuple):
    """A rule that a call breaks, and what it says in words, as in `everyone allows claude-*`."""

    name: LimitName
    rule: str


class ProposedRules:
    """Decides on calls by the code that decides on requests, and remembers it."""

    def __init__(self, policy: CompiledPolicy, has_price: Callable[[RequestedModel], bool]) -> None:
        self._rules = Effective([policy], "")
        self._has_price = has_price
        self.find_broken = lru_cache(MAX_KNOWN)(self._find_broken)

    def _find_broken(self, model: RequestedModel, pays: bool) -> BrokenRule | None:
        """Which rule such a call breaks; None if none. `pays` says whether its user paid the provider."""
        rules = self._rules
        if pays and rules.denies_own_key is not None:
            return BrokenRule(_BYOK, f"{rules.denies_own_key} denies byok")
        if model.is_unread:
            refused = rules.refuse_unread(model.provider)
        elif model.model:
            is_free = pays or not model.is_billed
            refused = rules.refuse_model(model.provider, model.model, lambda: is_free or self._has_price(model))
        else:
            refused = None
        return None if refused is None else BrokenRule(_MODELS, refused.rule)
