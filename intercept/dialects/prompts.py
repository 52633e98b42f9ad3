"""The prompt in a user message: clients add text around it, or send messages that no user typed.

Source: the requests of Claude Code 2.1, Codex 0.169, OpenCode 1.18, Qwen Code 0.15 and GitHub Copilot CLI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from intercept.records import UserPrompt

MAX_PROMPT: Final = 256 * 1024
"""Characters of a recorded prompt."""
MAX_WRAPPERS: Final = 16
"""How many wrappers are removed from a text."""

_REMINDER: Final = ("<system-reminder>", "</system-reminder>")
_WRAPPERS: Final = (_REMINDER, ("<current_datetime>", "</current_datetime>"))
"""What clients put before or behind the words of a user."""
_INTERJECTED: Final = "The user sent a new message while you were working:"
_INTERJECTED_END: Final = "\n\nIMPORTANT:"
"""The text of Claude Code around input that was typed while it worked."""
_NOBODY_WROTE: Final = (
    # Claude Code
    *("[SYSTEM NOTIFICATION - NOT USER INPUT]", "CRITICAL: Respond with TEXT ONLY", "<task-notification>"),
    *("<bash-stdout>", "<bash-stderr>", "<local-command-stdout>", "<local-command-stderr>", "<local-command-caveat>"),
    # Codex
    *("Generate a concise, single-line task title", "You are performing a CONTEXT CHECKPOINT COMPACTION"),
    # OpenCode
    "Generate a title for this conversation:",
    # Qwen Code
    *("Managed memory directory: `", "Project skills directory: `"),
)
_SESSION, _TITLE = "<session>", "Write the title"
"""How Claude Code requests the title of a session: the beginning, and words after it."""


def read_prompt(texts: Sequence[str]) -> UserPrompt | None:
    """Return the prompt in the texts of a user message: the last one that the user wrote, without wrappers.

    If the user wrote none, the last text is a `synthetic` prompt. Without texts there is no prompt.
    """
    last = next((text for text in reversed(texts) if text), "")
    if not last:
        return None
    written = next((words for text in reversed(texts) if (words := _written(text))), "")
    prompt = written or last
    return UserPrompt(prompt=prompt[:MAX_PROMPT], truncated=len(prompt) > MAX_PROMPT, synthetic=not written)


def _written(text: str) -> str:
    """What the user wrote of a text, "" if nothing."""
    if _INTERJECTED in text[: len(_REMINDER[0]) + len(_INTERJECTED) + 2]:
        return _interjected(text)
    words = _unwrapped(text)
    if words.startswith(_NOBODY_WROTE) or (words.startswith(_SESSION) and _TITLE in words):
        return ""
    return words


def _interjected(text: str) -> str:
    typed = text.partition(_INTERJECTED)[2].rstrip().removesuffix(_REMINDER[1])
    words, end, _ = typed.rpartition(_INTERJECTED_END)
    return (words if end else typed).strip()


def _unwrapped(text: str) -> str:
    """Take wrappers off both ends."""
    words = text
    for _ in range(MAX_WRAPPERS if "<" in text else 0):
        if (inner := _without_wrapper(words.strip())) is None:
            break
        words = inner
    return text if words is text else words.strip()


def _without_wrapper(words: str) -> str | None:
    for opening, closing in _WRAPPERS:
        if words.startswith(opening) and closing in words:
            return words.partition(closing)[2]
        if words.endswith(closing) and opening in words:
            return words.rpartition(opening)[0]
    return None
