"""The SDKs of vendors, each loaded when it is used: that takes seconds, and each process of a run collects all tests."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Library:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest asks everything for them, to see whether it is a test
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


anthropic_sdk = Library("anthropic")
openai_sdk = Library("openai")
genai = Library("google.genai")
interactions_errors = Library("google.genai._interactions_errors")
boto3 = Library("boto3")
