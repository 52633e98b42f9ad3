"""The APIs that the bridge records, each a request parser and its readers behind one shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable

from msgspec import Struct

from intercept.records import Conversation, Reading, ToolResult, UserPrompt
from intercept.refusals import Problem, Rule

EVENTS = "text/event-stream"
"""The content type of server-sent events."""
EVENT_STREAM = "application/vnd.amazon.eventstream"
"""The content type of AWS's event stream."""


class ErrorBody(Protocol):
    """The body of an error of the bridge's own, encoded as JSON."""

    @classmethod
    def of(cls, status: int, message: str, request_id: Any = "", retry_after_ms: int | None = None) -> Self:
        """Word the error of an HTTP status. `request_id` is a UUID or its text, which is the same in JSON."""


class RefusalBody(NamedTuple):
    """What a refusal's body says: whether the key is not valid, and after how many seconds to try again; None for nothing."""

    is_invalid_key: bool = False
    retry_after: float | None = None


def without_words(_body: bytes) -> RefusalBody:
    """Read nothing: the status and the head of a refusal say everything."""
    return RefusalBody()


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """Whose conventions a route follows. Each is declared once, in its file in `intercept.dialects`, and listed in the catalog.

    Attributes:
        name: Short, as in the names of what `/openapi.json` describes.
        error: The errors of the bridge.
        error_event: What stands before and behind the JSON of an error in a stream of server-sent events that has begun.
        request_id_header: Where clients read the id of a request.
        error_type_header: Where clients read the type of an error, which the body has as `type`; "" for nowhere.
        desk_headers: How the headers of a provider about its limits begin that a client does not get who signed in below it,
            but those of the bridge (`limits.desk`); "" where nobody signs in.
        ping: What may be sent between two events of a stream; b"" for nothing.
        paths: How paths begin that no other dialect has.
        base_path: What the base URL of its clients ends with.
        key_in_query: Whether clients may send a key in the query.
        system_parameters: Whether there are parameters of the query that change a response in ways that are not read.
        models_path: Where the models of a provider are listed; "" for nowhere.
        check_headers: What a request for them needs besides a credential.
        explaining_statuses: Those of refusals of which the body says more, which `read_refusal` reads.
    """

    name: str
    error: type[ErrorBody]
    error_event: tuple[bytes, bytes] = (b"event: error\ndata: ", b"\n\n")
    request_id_header: str = "X-Request-Id"
    error_type_header: str = ""
    desk_headers: str = ""
    ping: bytes = b""
    paths: re.Pattern[str] = re.compile("(?!)")
    base_path: str = ""
    key_in_query: bool = False
    system_parameters: bool = False
    models_path: str = ""
    check_headers: tuple[tuple[str, str], ...] = ()
    explaining_statuses: frozenset[int] = frozenset()
    read_refusal: Callable[[bytes], RefusalBody] = without_words


NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
"""What most calls have."""


class InvalidRequestError(Problem, ValueError):
    """A request cannot be relayed: its body is not JSON, say, or has no usable model. Its text is meant for the client."""

    def __init__(self, message: str, status: int = 400, *, rule: Rule = Rule.UNUSABLE_BODY) -> None:
        super().__init__(status, message, rule=rule)


class RequestSummary(Struct, frozen=True, kw_only=True):
    """What is read from a request body.

    `other_models` are those that the provider may use too, None if they cannot be read.
    `answered_tool_call_id` is the tool call that the last message answers. `session_hint` is the body's own word on
    which session this is (see `intercept.callers.session_id`), `conversation_id` the id of a conversation that
    it has in a place of the API's own. `conversation` is known by what the body contains; `previous_response_id` is the
    response that a responses request goes on from, `used_file_id` the file that a batch is made of, `references` the ids
    of what else it names that a provider may have kept. `stream_options` is
    a chat request's value of that key, in the bytes that were sent; None where it has none. `max_output_tokens` is the
    most that it allows the model to write, in all choices together; None where it does not say. `odd_model` and `odd_count`
    name a member that names models, or says how much a model may write, in a form that not all parsers read alike; "" if
    there is none. `uses_state` says that
    the provider keeps the response, or that the request goes on with something that it has kept, `in_background` that
    others may use the response before it has ended. `deployment` is that of Azure in the path, which it serves whatever
    model the body names. `blocks` are those that a provider may cache, packed (see `intercept.blocks`); None where they
    are unknown. `tags` are those of the body (see `intercept.tags`).
    `tool_results` are those behind the model's last message (see `intercept.dialects.tool_results`).
    """

    model: str
    other_models: tuple[str, ...] | None = ()
    stream: bool = False
    user_prompt: UserPrompt | None = None
    answered_tool_call_id: str | None = None
    session_hint: str | None = None
    conversation_id: str | None = None
    conversation: Conversation | None = None
    previous_response_id: str | None = None
    used_file_id: str | None = None
    references: frozenset[str] = frozenset()
    stream_options: bytes | None = None
    max_output_tokens: int | None = None
    odd_model: str = ""
    odd_count: str = ""
    uses_state: bool = False
    in_background: bool = False
    deployment: str = ""
    blocks: bytes | None = None
    tool_results: tuple[ToolResult, ...] = ()
    tags: Mapping[str, str] = NO_TAGS


class Reader(Protocol):
    """Watches response bytes. Pure, linear in bytes; keeps only what it records, each field bounded by a named cap.

    A response is complete when it reached its own end: a chat stream at `[DONE]`, a messages stream at `message_stop` or a
    `message_delta` with a `stop_reason` and no open block, a
    responses stream at `response.completed`, `.incomplete` or `.failed`; a blocking body when it is one whole JSON object.
    After a `finish_reason` on choice 0 a chat stream is open-ended: complete if the connection ends cleanly.
    """

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body, cut anywhere."""

    def result(self) -> Reading:
        """Return what the bytes so far amount to, and read all of them for it. May be called again after more bytes."""


@runtime_checkable
class TextReader(Reader, Protocol):
    """A reader of responses that have text."""

    def keep_text(self) -> None:
        """Keep the text of the response too. To be called before the first bytes."""


Header: TypeAlias = Callable[[str], str]
"""Returns a header of a response, by its name in any case; "" if it is missing."""


def no_header(_name: str) -> str:
    """A head without headers."""
    return ""


class RequestParser(Protocol):
    """Reads a request body. `model` is what the path names, for a body that names none; "" where it names none either."""

    def __call__(self, body: bytes, model: str = "", /) -> RequestSummary:
        """Read it.

        Raises:
            InvalidRequestError: The body cannot be relayed.
        """


FURTHER_MODELS = ("svg[model]",)
"""Fields of a form that name another model: of what draws an image as SVG (OpenAI, "Create image edit")."""
FORM_FIELDS = ("model", "stream", *FURTHER_MODELS)
"""What is read from a form."""

FormParser: TypeAlias = Callable[[Mapping[str, str], str], RequestSummary]
"""Reads `FORM_FIELDS` of a form. The model that the path names is for a form that names none. Raises `InvalidRequestError`."""


class RequestedModels(Enum):
    """Which models a request names."""

    ONE = auto()
    """One, which is read from it."""
    NONE = auto()
    """None: it stores something, or moves it."""
    UNREAD = auto()
    """Several, which are not read."""


@dataclass(frozen=True)
class Api:
    """One recorded API: `name` as in its module, `path` below the provider, and how to read both directions.

    The content type of a response chooses its reader: `stream_reader` for server-sent events, `event_stream_reader` for
    AWS's event stream, where the API has one, and `body_reader` for all else. `metered_body_reader` stands in its place
    where the head of a response tells its tokens. `billed` is false where a call costs nothing, so that no cost is
    missing if it reports no tokens; `is_free` is true where nothing that follows costs anything either.
    `parse_form` reads a request that is a form with files, where the API takes one;
    `form_names_model` says that the form names the model. `requested_models` says which models a request names.
    """

    name: str
    path: str
    dialect: Dialect
    parse_request: RequestParser
    stream_reader: Callable[[], Reader]
    body_reader: Callable[[], Reader]
    event_stream_reader: Callable[[], Reader] | None = None
    metered_body_reader: Callable[[Header], Reader] | None = None
    billed: bool = True
    is_free: bool = False
    parse_form: FormParser | None = None
    form_names_model: bool = True
    requested_models: RequestedModels = RequestedModels.ONE

    def reader_for(self, content_type: str, header: Header = no_header, *, keep_text: bool = False) -> Reader:
        """A reader of a successful response, whose text it keeps where it has any and `keep_text` says so.

        The content type is in lower case and has no parameters.
        """
        if content_type == EVENTS:
            reader = self.stream_reader()
        elif content_type == EVENT_STREAM and self.event_stream_reader is not None:
            reader = self.event_stream_reader()
        elif self.metered_body_reader is not None:
            reader = self.metered_body_reader(header)
        else:
            reader = self.body_reader()
        if keep_text and isinstance(reader, TextReader):
            reader.keep_text()
        return reader
