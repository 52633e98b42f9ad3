"""Whose reports can be read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class ReportSource(NamedTuple):
    """Types of the providers whose calls are in a provider's reports, and whether those are files."""

    types: tuple[str, ...]
    is_file: bool


SOURCES: Final[Mapping[str, ReportSource]] = MappingProxyType(
    {
        "openai": ReportSource(("openai",), False),
        "anthropic": ReportSource(("anthropic",), False),
        "azure": ReportSource(("azure", "foundry"), True),
        "bedrock": ReportSource(("bedrock", "bedrock-mantle"), True),
    }
)

READABLE: Final = tuple(name for name, source in SOURCES.items() if not source.is_file)
"""Those whose reports are read from their API."""
