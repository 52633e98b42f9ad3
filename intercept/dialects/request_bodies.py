"""Request bodies: what all APIs require, and what is read from their last message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field, structs
from msgspec.json import Decoder, encode

from intercept.apis import InvalidRequestError
from intercept.blocks import BeforeMessages, pack_blocks
from intercept.formats.json_text import OBJECT, decode, read, read_struct
from intercept.formats.kept_members import FUSION, ONCE, OPENROUTER
from intercept.formats.large_bodies import Abridged, abridged, may_name_models
from intercept.formats.steps import finish
from intercept.formats.weight import is_light
from intercept.items import Item, Items

MAX_MODEL: Final = 256
"""Characters of a model's name."""
UNNAMED_MODEL: Final = "default"
"""The model of a request that leaves the choice to the provider."""
MAX_PATH_MODEL: Final = 2048
"""Characters of a model's name in a path: of Amazon's, account and region are a part."""
MAX_OTHER_MODELS: Final = 64
"""Models that are named beside the first one: for the case that it fails, and by tools."""
MAX_SKIPPED_MESSAGES: Final = 8
"""Messages of the client program that are skipped at the end of a conversation."""


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
        if kind.startswith(OPENROUTER) and (FUSION in kind or may_name_models(bytes(self.parameters))):
            return [""]
        names = [one.model for one in (self, self.svg) if one is not None and one.model is not None]
        return [name if len(name) <= MAX_MODEL else "" for name in names]


_OTHERS: Final = Decoder(list[str | _Fallback] | None)
_TOOLS: Final = Decoder(list[_Tool] | None)
_PLUGINS: Final = Decoder(list[Raw] | None)
NAMING: Final = Decoder(Naming | None)
"""Reads an object that may name a model; null is none. Raises `ValueError` for everything else."""


class RequestBody(BeforeMessages):
    """What every API has in its request body, and what a provider caches of it before the messages."""

    model: str = ""
    stream: bool | None = None
    stream_options: Raw = field(default_factory=Raw)
    max_tokens: Raw = field(default_factory=Raw)
    max_completion_tokens: Raw = field(default_factory=Raw)
    max_output_tokens: Raw = field(default_factory=Raw)
    n: Raw = field(default_factory=Raw)
    models: Raw = field(default_factory=Raw)
    fallbacks: Raw = field(default_factory=Raw)
    plugins: Raw = field(default_factory=Raw)

    @property
    def named(self) -> str:
        """Which model it is for; "" where it says nothing."""
        return self.model

    @property
    def other_models(self) -> tuple[str, ...] | None:
        """Models that the provider may use too; None if they cannot be read.

        Sources: OpenRouter, "Model fallbacks" (`models`, names; `fallbacks`, objects with a `model`, as Anthropic has them);
        Anthropic, "Advisor tool", and OpenAI, "Image generation" (the `model` of a tool, and of its `svg`). Tools and plugins
        of OpenRouter name models in several ways, which are not read, and "Fusion" has some of its own.
        """
        try:
            if self.plugins and any(may_name_models(bytes(one)) for one in decode(self.plugins, _PLUGINS) or ()):
                return None
            given = [one for raw in (self.models, self.fallbacks) if raw for one in decode(raw, _OTHERS) or ()]
            named = [name for tools in (self.tools, *self.added_tools) for name in _named(tools)]
        except ValueError:
            return None
        names = [one if isinstance(one, str) else one.model for one in given] + named
        return tuple(names) if all(names) and len(names) <= MAX_OTHER_MODELS else None

    @property
    def added_tools(self) -> Iterable[Raw]:
        """Further lists of tools, in what was said before. Raises `ValueError` if they cannot be read."""
        return ()

    @property
    def token_limit(self) -> int | None:
        """The most tokens that the model may write, in all choices together; None for no limit."""
        given = (self.max_tokens, self.max_completion_tokens, self.max_output_tokens)
        counts = [count for one in given if one and (count := read_count(one))]
        return max(counts) * (read_count(self.n) or 1) if counts else None


def _named(tools: Raw) -> list[str]:
    return [name for tool in (decode(tools, _TOOLS) or () if tools else ()) for name in tool.named]


_COUNT: Final = re.compile(rb"[0-9]{1,9}")


def read_count(value: Raw) -> int | None:
    """Read a whole number of up to nine digits; None of any other value."""
    text = bytes(value)
    return int(text) if _COUNT.fullmatch(text) else None


R = TypeVar("R", bound=RequestBody)
S = TypeVar("S", bound=Struct)


class _Name(str):
    """The name of a member, equal to no other name: a decoder keeps each of several members of one name."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


_BODY: Final = Decoder(RequestBody)
MEMBERS: Final = Decoder(dict[_Name, Raw], dec_hook=str.__new__)
"""Reads each member of an object, also several of one name. Raises `ValueError` for everything else."""


def decode_request(body: bytes, decoder: Decoder[R], model: str = "") -> R:
    """Decode a request body as far as it is needed. If what only one API has is not of its type, none of that is kept.

    `model` is what the path names, for a body that names none.

    One that is not light is abridged first, in one go: who must not be held up for that long does it before.

    Raises:
        InvalidRequestError: The body is not a JSON object in UTF-8, has no usable `model` or `stream`, or has one member of
            `ONCE` more than once: some providers would read the first one, others the last.
    """
    if not (isinstance(body, Abridged) or is_light(body)):
        body = finish(abridged(body))
    elif not (isinstance(body, Abridged) or body.isascii()):
        _check_utf8(body)
    try:
        request = _decoded(body, decoder)
        if not isinstance(body, Abridged):
            _check_once(body)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"request body is not usable: {error}") from error
    except InvalidRequestError:
        raise
    except RecursionError as error:
        raise InvalidRequestError("request body is nested too deeply") from error
    except ValueError as error:
        raise InvalidRequestError(f"request body is not valid JSON: {error}") from error
    request.model = _checked(request.named) or model
    if not request.model:
        raise InvalidRequestError("model is required: a non-empty string")
    return request


def _checked(model: str) -> str:
    if len(model) > MAX_MODEL:
        raise InvalidRequestError(f"model is too long: at most {MAX_MODEL} characters")
    return model if model.strip() else ""


def _decoded(body: bytes, decoder: Decoder[R]) -> R:
    try:
        return decode(body, decoder)
    except msgspec.ValidationError:
        with suppress(msgspec.ValidationError):
            return decode(_without_repetition(body), decoder)
        return decoder.type(**structs.asdict(decode(body, _BODY)))


def _without_repetition(body: bytes) -> bytes:
    """Return a JSON object with each member once: of several that have one name, the last counts."""
    members = decode(body, OBJECT)
    return b"{%b}" % b",".join([b"%b:%b" % (encode(name), bytes(value)) for name, value in members.items()])


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"request body is not valid UTF-8 (byte {error.start})") from error


def _check_once(body: bytes) -> None:
    """Refuse a name that is there twice, in any case: servers in Go take `Model` for `model`."""
    found: set[str] = set()
    for member in decode(body, MEMBERS):
        name = member.casefold()
        if name in found:
            raise InvalidRequestError(f"{name} is there more than once: parsers differ in which one counts")
        if name in ONCE:
            found.add(name)


def read_event(message: bytes, decoder: Decoder[S]) -> S | None:
    """Read an event that a client sends over a WebSocket. None where it is no JSON object with one `type`, in any case.

    To what some providers would read as a request, and others not, they must not come.
    """
    members = read(message, MEMBERS) or {}
    types = [str(name) for name in members if name.casefold() == "type"]
    return read_struct(message, decoder) if types == ["type"] else None


def known_blocks(body: bytes, request: RequestBody, messages: Sequence[Raw]) -> bytes | None:
    """Return the blocks of a request that `decode_request` returned, packed (see `intercept.blocks`).

    None where they are not known from that: it has no messages, or texts were left out to decode it.
    """
    if isinstance(body, Abridged) or not is_light(body):
        return None
    try:
        return pack_blocks(body, request, messages)
    except (ValueError, RecursionError):
        return None


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
