"""A record without texts of people and models, for readers. Pure.

Numbers and names are left: user, model, tokens, tools, end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS: Mapping[str, str] = {"user_prompts": "prompt", "tool_usages": "input", "model_thoughts": "content"}


def without_texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an interception with empty texts, each marked `withheld`.

    The texts are prompts, inputs of tools, thoughts, responses, and the messages of errors: providers quote requests in them.
    """
    copy = dict(document)
    for name, text in _TEXTS.items():
        copy[name] = [_withheld(entry, text) for entry in document.get(name, ())]
    if response := document.get("response"):
        copy["response"] = _withheld(response, "text")
    if error := document.get("error"):
        copy["error"] = {**error, "message": ""}
    if tries := document.get("tries"):
        copy["tries"] = [{**one, "error": one["error"] and {**one["error"], "message": ""}} for one in tries]
    return copy


def has_texts(document: Mapping[str, Any]) -> bool:
    """Whether the document of an interception has texts that `without_texts` would withhold."""
    own = (document.get(name) for name in (*_TEXTS, "response", "error"))
    return any(own) or any(one["error"] for one in document.get("tries", ()))


def _withheld(entry: Mapping[str, Any], text: str) -> dict[str, Any]:
    copy = {**entry, text: "", "metadata": {**entry["metadata"], "withheld": True}}
    if copy.get("invocation_error"):
        copy["invocation_error"] = ""
    return copy


def session_without_texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a session without its prompts."""
    return {**document, "first_prompt": None, "last_prompt": None}
