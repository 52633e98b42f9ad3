"""A record without the words of people and models: what a reader sees. Pure.

What is left are figures and names: who called, which model, how many tokens, which tools, how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS: Mapping[str, str] = {"user_prompts": "prompt", "tool_usages": "input", "model_thoughts": "content"}


def without_texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an interception with empty texts, each marked `withheld`.

    The texts are prompts, inputs of tools, thoughts, responses, and the messages of errors: providers quote requests in them.
    """
    shown = dict(document)
    for name, text in _TEXTS.items():
        shown[name] = [_withheld(entry, text) for entry in document.get(name, ())]
    if response := document.get("response"):
        shown["response"] = _withheld(response, "text")
    if error := document.get("error"):
        shown["error"] = {**error, "message": ""}
    if tries := document.get("tries"):
        shown["tries"] = [{**one, "error": one["error"] and {**one["error"], "message": ""}} for one in tries]
    return shown


def has_texts(document: Mapping[str, Any]) -> bool:
    """Say whether there is anything in the document of an interception that `without_texts` would withhold."""
    return any(document.get(name) for name in _TEXTS) or bool(document.get("response") or document.get("error"))


def _withheld(entry: Mapping[str, Any], text: str) -> dict[str, Any]:
    shown = {**entry, text: "", "metadata": {**entry["metadata"], "withheld": True}}
    if shown.get("invocation_error"):
        shown["invocation_error"] = ""
    return shown


def session_without_texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a session without its prompts."""
    return {**document, "first_prompt": None, "last_prompt": None}
