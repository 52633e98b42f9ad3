"""Whom a policy is of."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import NamedTuple


class Level(StrEnum):
    """Whom a policy is of, the widest first."""

    EVERYONE = auto()
    GROUP = auto()
    USER = auto()
    TOKEN = auto()


class PolicyHolder(NamedTuple):
    """Whose policy it is: `key` is the id of the group, user or token, `name` what people call it."""

    level: Level
    key: str = ""
    name: str = ""

    def __str__(self) -> str:
        """In words: `everyone`, `group research`."""
        return f"{self.level} {self.name}" if self.name else str(self.level)
