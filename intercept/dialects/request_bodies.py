"""Request bodies: what all APIs require, and what is read from their last message.

The prompt in a user message is looked for: clients add text around it, or send messages that no user typed. Source: the
requests of Claude Code 2.1, Codex 0.169, OpenCode 1.18, Qwen Code 0.15 and GitHub Copilot CLI.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import NO_TAGS, InvalidRequestError, RequestSummary
from intercept.blocks import NO_MEMBER, pack_blocks
from intercept.conversations import Item, Items, ItemTexts, read_conversation
from intercept.dialects.strict import MODELS, StrictReading, plain
from intercept.dialects.tool_results import ResultsOf, answered_call, read_results
from intercept.formats.json_text import (
    MAX_VALUES,
    UNWEIGHED_BYTES,
    Members,
    Weight,
    decode,
    read_members,
    read_struct,
    text_of,
    weigh,
)
from intercept.records import UserPrompt
from intercept.tags import metadata_tags

MAX_MODEL: Final = 256
"""Characters of a model's name."""
UNNAMED_MODEL: Final = "default"
"""The model of a request that leaves the choice to the provider."""
MAX_PATH_MODEL: Final = 2048
"""Characters of a model's name in a path: of Amazon's, account and region are a part."""
MAX_OTHER_MODELS: Final = 64
"""Models that are named beside the first one: for the case that it fails, and by tools."""
MAX_TOOLS: Final = 4096
"""Tools of which it is read which models they name."""
MAX_SKIPPED_MESSAGES: Final = 8
"""Messages of the client program that are skipped at the end of a conversation."""

_FUSION: Final = "fusion"
"""OpenRouter's tool and plugin that asks several models, also where none is named."""
_OPENROUTER: Final = "openrouter:"
"""How the types of tools begin whose parameters may name models, in several ways."""
_ONCE: Final = frozenset(map(plain, (*MODELS, "stream", "stream_options", "input_file_id")))
"""The members that may not be there twice: policies, records and who may use a file depend on them."""


class _Fallback(Struct):
    model: str = ""


class Naming(Struct):
    """An object that may name a model, as what draws an image as SVG."""

    model: str | None = None


class _Tool(Struct):
    type: str | None = None
    model: str | None = None
    svg: Naming | None = None
    parameters: Raw = field(default_factory=Raw)

    @property
    def named(self) -> list[str]:
        """The models that it names; an empty name stands for what cannot be read."""
        kind = self.type or ""
        if kind.startswith(_OPENROUTER) and (_FUSION in kind or _may_name_models(self.parameters)):
            return [""]
        names = [one.model for one in (self, self.svg) if one is not None and one.model is not None]
        return [name if len(name) <= MAX_MODEL else "" for name in names]


_OTHERS: Final = Decoder(list[str | _Fallback] | None)
_TOOLS: Final = Decoder(list[_Tool] | None)
_PLUGINS: Final = Decoder(list[Raw] | None)
_NAMING: Final = Decoder(Naming | None)
_NOTHING: Final = (b"", b"null")
_STRING: Final = Decoder(str)
_FLAG: Final = Decoder(bool | None)


class Wording(NamedTuple):
    """How an API words the messages of a request, or its input items.

    `texts` returns the texts of a message of the user, `compared` those by which conversations are recognised, with the ids
    of the tool calls that are answered, and `results` the results of tool calls in it.
    """

    texts: ItemTexts
    compared: ItemTexts
    results: ResultsOf


class RequestBody:
    """A request body, read no deeper than its members. Of several members of one name the last counts.

    Attributes:
        model: Which model it is for.
        stream: Whether a stream is requested; None where it does not say.
        unread: Names of members that are not read: the large ones of a body with too much in it.
        strict: What policies and reservations read.
    """

    def __init__(self, body: bytes, members: Members, unread: frozenset[str], other_name: str) -> None:
        self.unread = unread
        self.strict = StrictReading(members)
        self._body = body
        self._members = {str(name): raw for name, raw in members.items()}
        self.stream: bool | None = self._typed("stream", _FLAG, None)
        named: str = self._typed("model", _STRING, "")
        self._other_name = text_of(self[other_name]) if other_name else ""
        self.model = _checked(named or self._other_name)

    def __getitem__(self, name: str) -> Raw:
        """Return the JSON of a member; empty where there is none, or where it is not read."""
        return NO_MEMBER if name in self.unread else self._members.get(name, NO_MEMBER)

    def text(self, *names: str) -> str:
        """Return the first text among members; "" where none is one."""
        return next(filter(None, (text_of(self[name]) for name in names)), "")

    def is_(self, name: str, value: bytes) -> bool:
        """Whether a member is written like this."""
        return bytes(memoryview(self[name])[: len(value) + 1]) == value

    def has_any(self, *names: str) -> bool:
        """Whether one of some members is there, and not null."""
        return any(bytes(memoryview(self[name])[:5]) not in _NOTHING for name in names)

    def other_models(self, added_tools: Iterable[Raw] = ()) -> tuple[str, ...] | None:
        """Models that the provider may use too; None if they cannot be read.

        Sources: OpenRouter, "Model fallbacks" (`models`, names; `fallbacks`, objects with a `model`, as Anthropic has them);
        Anthropic, "Advisor tool", and OpenAI, "Image generation" (the `model` of a tool, and of its `svg`), "Create image"
        (`svg`); Google, "Interactions API" (`agent_config`). Tools and plugins of OpenRouter name models in several ways,
        which are not read, and "Fusion" has some of its own.

        Args:
            added_tools: Further lists of tools, in what was said before. May raise `ValueError` if they cannot be read.
        """
        if not self.unread.isdisjoint(MODELS):
            return None
        names = [self._other_name] if self._other_name not in ("", self.model) else []
        try:
            names += [name for place in self.strict.places for one in place.items() for name in _named_by(*one)]
            names += [name for tools in added_tools for name in _named(tools)]
        except ValueError:
            return None
        is_read = len(names) <= MAX_OTHER_MODELS and all(0 < len(name) <= MAX_MODEL for name in names)
        return tuple(names) if is_read else None

    def summary(self, texts: Sequence[str] = (), *, added_tools: Iterable[Raw] = (), **more: Any) -> RequestSummary:
        """Sum it up: what all APIs have, the prompt that is in the texts of the last message, and `more`."""
        return RequestSummary(
            model=self.model,
            other_models=self.other_models(added_tools),
            stream=bool(self.stream),
            max_output_tokens=self.strict.token_limit,
            odd_model=self.strict.odd_model,
            odd_count=self.strict.odd_count,
            user_prompt=UserPrompt(prompt="", truncated=True) if self.unread else read_prompt(texts),
            **more,
        )

    def summary_of(
        self,
        items: Items | str,
        wording: Wording,
        *,
        blocks: Sequence[Raw] | None = None,
        texts: Sequence[str] = (),
        tags: str = "metadata",
        **more: Any,
    ) -> RequestSummary:
        """Sum up a request with messages, or input items.

        Args:
            items: All of them; a text is the only message.
            wording: How they are worded.
            blocks: What of them a provider caches, where that is not each item.
            texts: What a user may say elsewhere.
            tags: The name of the member with tags; "" for none.
            more: What else is known of it.
        """
        last = None if isinstance(items, str) else last_message(items)
        if isinstance(items, str):
            texts = [*texts, items]
        elif last is not None and last.role == "user":
            texts = [*texts, *wording.texts(last)]
        return self.summary(
            texts,
            answered_tool_call_id=answered_call(last, wording.results),
            conversation=read_conversation(items, wording.compared),
            tags=metadata_tags(self[tags]) if tags else NO_TAGS,
            tool_results=read_results(items, wording.results),
            blocks=self._blocks(items.all if blocks is None and not isinstance(items, str) else blocks or ()),
            **more,
        )

    def _blocks(self, messages: Sequence[Raw]) -> bytes | None:
        """Return the blocks, packed; None where it has no messages, or not all of it was read."""
        if self.unread:
            return None
        try:
            return pack_blocks(self._body, self._members, messages)
        except (ValueError, RecursionError):
            return None

    def _typed(self, name: str, decoder: Decoder[Any], otherwise: Any) -> Any:
        if name not in self._members:
            return otherwise
        if len(memoryview(self._members[name])) > UNWEIGHED_BYTES:
            raise InvalidRequestError(f"{name} is too long")
        try:
            return decode(self._members[name], decoder)
        except msgspec.ValidationError as error:
            raise InvalidRequestError(f"request body is not usable: {error} - at `$.{name}`") from error


def _named_by(name: str, value: Raw) -> Iterable[str]:
    """The models that a member names; an empty name stands for what cannot be read."""
    match str(name):
        case "models" | "fallbacks":
            return [one if isinstance(one, str) else one.model for one in decode(value, _OTHERS) or ()]
        case "plugins":
            return [""] if any(map(_may_name_models, decode(value, _PLUGINS) or ())) else ()
        case "tools":
            return _named(value)
        case "svg" | "agent_config" | "agentConfig":
            naming = decode(value, _NAMING)
            return () if naming is None or naming.model is None else [naming.model]
    return ()


def _named(tools: Raw) -> list[str]:
    """The models that a list of tools names. Raises `ValueError` if it cannot be read."""
    read_ones = decode(tools, _TOOLS) or ()
    if len(read_ones) > MAX_TOOLS:
        raise ValueError("there are too many tools")
    return [name for tool in read_ones for name in tool.named]


def _may_name_models(parameters: Raw) -> bool:
    """Whether parameters of a tool or a plugin of OpenRouter may name a model or "Fusion", perhaps with escapes."""
    text = bytes(parameters)
    return b"model" in text or _FUSION.encode() in text or rb"\u" in text


S = TypeVar("S", bound=Struct)


def decode_request(body: bytes, model: str = "", *, other_name: str = "") -> RequestBody:
    """Decode a request body, once and no deeper than its members.

    `model` is what the path names, for a body that names none. `other_name` is a member that may stand in the place of `model`.

    Raises:
        InvalidRequestError: The body is not a JSON object, has no usable `model` or `stream`, has too many values,
            or has one member more than once that may be there once: some providers would read the first one, others the last.
    """
    weight = weigh(body)
    if weight is Weight.REFUSED:
        raise InvalidRequestError(f"request body has too many values: at most {MAX_VALUES} are allowed")
    try:
        members = read_members(body)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"request body is not usable: {error}") from error
    except RecursionError as error:
        raise InvalidRequestError("request body is nested too deeply") from error
    except ValueError as error:
        raise InvalidRequestError(f"request body is not valid JSON: {error}") from error
    _check_once(members)
    large = [str(name) for name, raw in members.items() if len(memoryview(raw)) > UNWEIGHED_BYTES]
    request = RequestBody(body, members, frozenset(large if weight is Weight.PASSED else ()), other_name)
    request.model = request.model or model
    if not request.model:
        raise InvalidRequestError("model is required: a non-empty string")
    return request


def _checked(model: str) -> str:
    if len(model) > MAX_MODEL:
        raise InvalidRequestError(f"model is too long: at most {MAX_MODEL} characters")
    return model if model.strip() else ""


def _check_once(members: Members) -> None:
    """Refuse a name that is there twice, in any form: servers in Go take `Model` for `model`."""
    found: set[str] = set()
    for member in members:
        name = plain(member)
        if name in found:
            once = member.strip().casefold()
            raise InvalidRequestError(f"{once} is there more than once: parsers differ in which one counts")
        if name in _ONCE:
            found.add(name)


def read_event(message: bytes, decoder: Decoder[S]) -> S | None:
    """Read an event that a client sends over a WebSocket. None where it is no JSON object with a `type` and each member once.

    To what some providers would read as a request, and others not, they must not come.
    """
    try:
        members = read_members(message)
    except (ValueError, RecursionError):
        return None
    names = [str(name) for name in members]
    is_clear = "type" in names and len(set(map(plain, names))) == len(names)
    return read_struct(message, decoder) if is_clear else None


def last_message(items: Items) -> Item | None:
    """Return the last item of a conversation that the client program did not write by itself, None if there is none.

    Claude Code 2.1 puts a `system` message after its user's.
    """
    last = len(items) - 1
    for at in range(last, max(-1, last - 1 - MAX_SKIPPED_MESSAGES), -1):
        item = items[at]
        if item.role not in ("system", "developer"):
            return item
    return None


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
