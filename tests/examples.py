"""How many examples a property has whose examples are dear: few as a rule, and more for `make properties`."""

from __future__ import annotations

import hypothesis

THOROUGH = 500
"""Examples of a property that says nothing else, in the profile `thorough`."""


def examples(usual: int, thorough: int) -> int:
    """Return one of two numbers of examples, by the profile that is loaded."""
    return thorough if hypothesis.settings.default.max_examples >= THOROUGH else usual
