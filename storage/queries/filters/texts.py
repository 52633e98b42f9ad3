"""What people and models wrote: its words, and whether a search finds it. Pure.

A word is letters and digits side by side, in any case and in any form that Unicode calls compatible. Of scripts without spaces
each character is a word. What has several words, such as `foo_bar.py` or a text in quotes, is found where these follow one
another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from intercept.recording import Keep
from intercept.restricted_texts import HASH
from storage.queries.filters.words import SearchProblem, Word

MAX_MATCHES: Final = 5
"""The maximum number of matches of a call."""

CONTEXT: Final = 60
"""Characters before and after a match."""

MAX_MATCH: Final = 200
"""Maximum characters of the match itself."""

_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_UNKEPT = {Keep.NONE.value, Keep.HASHED.value}
_OBJECT = re.compile(r"\s*\{")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Text(Struct, frozen=True):
    """A text of a call, and where it is, as in `tool_usages[0].input`."""

    field: str
    text: str


TEXT_FIELDS: Final = (
    *("user_prompts.prompt", "user_prompts.metadata.recording"),
    *("tool_usages.input", "tool_usages.metadata.recording", "tool_usages.invocation_error"),
    *("model_thoughts.content", "model_thoughts.metadata.recording"),
    *("response.text", "response.metadata.recording", "error"),
)
"""The fields that `texts_of` reads."""


class Match(Struct, frozen=True):
    """A match of a search for texts in a call."""

    field: Annotated[str, Meta(description="The text, as in `tool_usages[0].input`.")]
    before: Annotated[str, Meta(description="The text before it, cut.")]
    text: Annotated[str, Meta(description="The words themselves.")]
    after: Annotated[str, Meta(description="The text after it, cut.")]


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order, in one form for all that are the same."""
    if text.isascii():
        return text.translate(_ASCII).split()  # as the pattern, in a quarter of the time
    return [_folded(word) for word in _WORD.findall(unicodedata.normalize("NFC", text))]


def texts_of(document: Mapping[str, Any]) -> Iterator[Text]:
    """The recorded texts of a call, without those that a policy drops or hashes."""
    for index, prompt in enumerate(document.get("user_prompts", ())):
        if _is_kept(prompt):
            yield Text(f"user_prompts[{index}].prompt", prompt["prompt"])
    for index, usage in enumerate(document.get("tool_usages", ())):
        if _is_kept(usage):
            yield Text(f"tool_usages[{index}].input", _unescaped(usage["input"]))
        if usage.get("invocation_error"):
            yield from _unhashed(f"tool_usages[{index}].invocation_error", usage["invocation_error"])
    for index, thought in enumerate(document.get("model_thoughts", ())):
        if _is_kept(thought):
            yield Text(f"model_thoughts[{index}].content", thought["content"])
    if (response := document.get("response")) and _is_kept(response):
        yield Text("response.text", response["text"])
    if error := document.get("error"):
        yield from _unhashed("error.message", error["message"])


class TextQuery(Struct, frozen=True):
    """What texts of a call must say: each phrase somewhere, and none of the others. A phrase has one word or more."""

    phrases: tuple[tuple[str, ...], ...] = ()
    without: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, words: Iterable[Word], problems: list[SearchProblem]) -> TextQuery | None:
        """Read the bare words of a search; None if there are none."""
        phrases: list[tuple[str, ...]] = []
        without: list[tuple[str, ...]] = []
        for word in words:
            if phrase := tuple(words_of(word.text)):
                (without if word.negated else phrases).append(phrase)
            else:
                problems.append(
                    SearchProblem("q", f"Query element {word.text} has no letter and no digit to search for")
                )
        return cls(tuple(dict.fromkeys(phrases)), tuple(dict.fromkeys(without))) if phrases or without else None

    @property
    def has_order(self) -> bool:
        """Whether the order of words matters."""
        return any(len(phrase) > 1 for phrase in (*self.phrases, *self.without))

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether the texts of a call are so. That takes long: a tenth of a second for a large one."""
        texts = [f" {' '.join(words_of(one.text))} " for one in texts_of(document)]

        def says(phrase: Sequence[str]) -> bool:
            sought = f" {' '.join(phrase)} "
            return any(sought in text for text in texts)

        return all(map(says, self.phrases)) and not any(map(says, self.without))

    def find_matches(self, document: Mapping[str, Any]) -> list[Match]:
        """The matches in a call, at most `MAX_MATCHES`; each phrase once in each text."""
        found: list[Match] = []
        for one in texts_of(document):
            text = one.text if one.text.isascii() else unicodedata.normalize("NFC", one.text)
            words = [(_folded(match[0]), match.span()) for match in _WORD.finditer(text)]
            for phrase in self.phrases:
                if (span := _find_phrase(phrase, words)) is not None:
                    found.append(_match(one.field, text, *span))
                if len(found) == MAX_MATCHES:
                    return found
        return found


def _find_phrase(phrase: Sequence[str], words: Sequence[tuple[str, tuple[int, int]]]) -> tuple[int, int] | None:
    size, first = len(phrase), phrase[0]
    for index, (word, (start, _)) in enumerate(words):
        if word == first and all(
            index + further < len(words) and words[index + further][0] == phrase[further] for further in range(1, size)
        ):
            return start, words[index + size - 1][1][1]
    return None


def _match(field: str, text: str, start: int, end: int) -> Match:
    end = min(end, start + MAX_MATCH)
    return Match(field, text[max(start - CONTEXT, 0) : start], text[start:end], text[end : end + CONTEXT])


def _folded(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()


def _unescaped(text: str) -> str:
    """A JSON object, also a cut one, as people read it: the `n` of a line break begins no word. Others stay as they are."""
    if "\\" not in text or not _OBJECT.match(text):
        return text
    read = _ESCAPE.sub(lambda one: chr(int(one[1], 16)) if one[1] else _ESCAPED.get(one[2], one[2]), text)
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_kept(entry: Mapping[str, Any]) -> bool:
    return entry["metadata"].get("recording") not in _UNKEPT


def _unhashed(field: str, text: str) -> Iterator[Text]:
    """A text that does not say by itself what is kept of it."""
    if text and not text.startswith(HASH):
        yield Text(field, text)
