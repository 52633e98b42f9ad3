"""Whose reports can be read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Source(NamedTuple):
    """Types of the providers whose calls are in a provider's reports, and whether those are files."""

    types: tuple[str, ...]
    is_file: bool


SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "openai": Source(("openai",), False),
        "anthropic": Source(("anthropic",), False),
        "azure": Source(("azure", "foundry"), True),
        "bedrock": Source(("bedrock", "bedrock-mantle"), True),
    }
)

READABLE: Final = tuple(name for name, source in SOURCES.items() if not source.is_file)
"""Those whose reports are read from their API."""
