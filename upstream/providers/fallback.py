"""The fallbacks of a provider, and the order in which they are tried. Pure.

The order is by rendezvous hashing with weights: each provider gets a score for a session, and the highest comes first.
A session keeps its provider while that is available, so the prompt cache keeps working. If a provider joins or leaves,
only its own sessions move.

Source: C. Schindelhauer, G. Schomaker, "Weighted Distributed Hash Tables" (SPAA 2005), the logarithmic method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import log
from typing import Final

from upstream.providers.presets import PRESETS, ProviderType

MAX_FALLBACKS: Final = 5
"""Other providers that one may name."""

MAX_WEIGHT: Final = 1000
"""The greatest weight."""

_HASH_BYTES: Final = 8


def find_order(weights: Mapping[str, int], session: str) -> list[str]:
    """Return the names of providers in the order in which they are tried.

    Args:
        weights: By name: first the provider that the client named, then the others as it names them. With 0 a provider
            takes no share of the load.
        session: What goes to one provider if it can.

    Without a weight of its own the named provider comes first, and the others in their order. With one, those that have a
    weight come first, in an order that each session keeps; then the others.
    """
    names = list(weights)
    if not weights[names[0]]:
        return names
    sharing = [name for name in names if weights[name]]
    sharing.sort(key=lambda name: _score(name, weights[name], session), reverse=True)
    return [*sharing, *(name for name in names if not weights[name])]


def _score(name: str, weight: int, session: str) -> float:
    """A number that is the highest one in a share of the sessions that is as large as the weight."""
    digest = blake2b(f"{name}\0{session}".encode(errors="replace"), digest_size=_HASH_BYTES).digest()
    drawn = (int.from_bytes(digest) + 1) / (2 ** (8 * _HASH_BYTES) + 1)  # between 0 and 1, neither of them
    return -weight / log(drawn) if drawn < 1 else float("inf")


def find_fault(name: str, type_: ProviderType, fallback: Sequence[str], types: Mapping[str, ProviderType]) -> str:
    """Return what is wrong with the fallbacks of a provider, given the types of all known ones; "" if nothing is."""
    if name in fallback:
        return f"{name} cannot stand in for itself"
    for other in fallback:
        if other not in types:
            return f"there is no provider named {other}; there are {', '.join(sorted(types.keys() - {name})) or 'none'}"
        if PRESETS[types[other]].is_own_key_only:
            return f"{other} takes only the users' own keys, and those go to no other provider"
        if not _recorded(type_) & _recorded(types[other]):
            return (
                f"{other} is of the type {types[other]}, which has no route of the type {type_}: give providers of the "
                "same dialect"
            )
    return ""


def _recorded(type_: ProviderType) -> frozenset[tuple[str, str]]:
    return frozenset((route.pattern, route.api.name) for route in PRESETS[type_].routes if route.api is not None)
