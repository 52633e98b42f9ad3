"""What is wrong with a field of a policy."""

from __future__ import annotations


class InvalidFieldError(ValueError):
    """A field has a value that is not allowed. The text is `field: rule`, which `reading.py` takes apart."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
