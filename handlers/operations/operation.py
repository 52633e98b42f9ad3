"""The declaration of an operation: everything that is known of it beside what its function does."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from types import ModuleType, NoneType
from typing import (
    Annotated,
    Any,
    Generic,
    NamedTuple,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from handlers.bridge import Bridge
from handlers.dataplane.addresses import CONTROL_PLANE
from handlers.operations.query import NoQuery, Query
from handlers.problems import Problem, sentence
from storage.accounts.audit import Author
from storage.accounts.users import Identity, Role, User

MAX_BODY_BYTES = 4096
PIECE_BYTES = 256 * 1024
"""Bytes of a response that are written before the client has to read them."""
READING = frozenset({"GET", "HEAD"})

Answer = TypeVar("Answer")

Versions: TypeAlias = Collection[str] | None
"""The versions that may be changed, by `If-Match` (RFC 9110, section 13.1.1); None is any."""


NOTE_HEADER = "X-AI-Bridge-Note"
SERVICE = "A service token, which belongs to a group, changes nothing."


class Who(NamedTuple):
    """Who may ask for an operation: callers with one of some roles, and maybe no service tokens."""

    roles: frozenset[Role]
    plural: str
    are_people: bool = False


EVERYONE = Who(frozenset(Role), "users")
PEOPLE = Who(frozenset(Role), "users", are_people=True)
READERS = Who(frozenset(Role) - {Role.MEMBER}, "owners, auditors and readers")
AUDITORS = Who(frozenset({Role.OWNER, Role.AUDITOR}), "owners and auditors")
OWNERS = Who(frozenset({Role.OWNER}), "owners")


@dataclass(frozen=True)
class Ask:
    """Who asks, and the bridge that is asked."""

    bridge: Bridge
    identity: Identity
    client_ip: str
    is_head: bool = False
    """Whether only the head of the answer is sent."""
    origin: str = ""
    """The address of the bridge as the caller reached it; empty where no server is asked."""

    @property
    def user(self) -> User:
        """The caller."""
        return self.identity.user

    @property
    def is_owner(self) -> bool:
        """Whether the caller is an owner."""
        return self.user.role is Role.OWNER

    @property
    def knows_all_providers(self) -> bool:
        """Whether the bridge has all providers that calls may go to."""
        return True

    @property
    def visible_to(self) -> UUID | None:
        """The user whose calls alone the caller may see; None for all."""
        return None if self.user.role.sees_everyone else self.user.id

    @property
    def author(self) -> Author:
        """The caller as the author of a change."""
        return Author(self.user, self.client_ip, self.identity.token_id or None, self.identity.expires_at)


@dataclass(frozen=True)
class Tagged(Generic[Answer]):
    """An answer with its version, which is sent as `ETag`."""

    value: Answer
    version: str


@dataclass(frozen=True)
class Noted(Tagged[Answer]):
    """An answer with notes for who made a change, each in a header of its own."""

    notes: Collection[str]


@dataclass(frozen=True)
class Pieces(Generic[Answer]):
    """An answer whose JSON is sent piece by piece, as the client takes it."""

    pieces: AsyncGenerator[bytes, None]


@dataclass(frozen=True)
class Download:
    """An answer that is a file, sent piece by piece as the client takes it."""

    content_type: str
    name: str
    pieces: AsyncGenerator[bytes, None]

    @classmethod
    def whole(cls, content_type: str, name: str, content: bytes) -> Self:
        """Make one of a content that is there already."""

        async def piece() -> AsyncGenerator[bytes, None]:
            yield content

        return cls(content_type, name, piece())


class Report(Protocol):
    """What an operation says while it works: how far it is.

    Attributes:
        in_lines: Whether the client takes lines of progress; the answer may take longer then.
    """

    in_lines: bool

    async def __call__(self, progress: float | None = None) -> None:
        """Send how far it is, from 0 to 1, if the client wants to know.

        Raises:
            StreamClosedError: The client has left.
        """


@dataclass(frozen=True)
class ReadBy:
    """How a body is read that is no struct of its own: `Annotated[type, ReadBy(read, schema)]`."""

    read: Callable[[bytes], Any]
    schema: Any


@dataclass(frozen=True)
class Declaration:
    """Declares a function as an operation of the control plane.

    The function is given what it names: `ask` (an `Ask`), `query` (a `Query`), `body` (a `Body`, or see `ReadBy`),
    `versions` (`Versions`), `report` (a `Report`), and the parts of the path. It returns a struct, a list, a `Tagged` or
    `Noted` one, `Pieces` of one, a `Download`, or None. With a `report` or a download it may take long: it ends with the
    server, when the client leaves, and when its user may no longer ask for it.

    Its docstring is what `/openapi.json` says, and its first line also what others are told that they may not do.

    Attributes:
        path: Its address below the control plane, such as `views/{id}`.
        own: Whether everybody may ask for their own. The path then names a user, and `me` is the caller; a change is
            made by people alone.
        status: The status of its answer; by default 200, or 204 without one.
        located: The field of the answer that names what was made, for the header `Location`; empty without one.
        unknown: What is said where an id in the path is none.
        raises: When it answers with other errors than those that follow from its declaration, by status.
        tag: The part of the description it is in; by default the first word of the path.
        max_body: The largest body, in bytes.
        example: An example of its body.
        shares: Whether it holds the caller's share of long requests: each user has one of these at a time.
        media: The media types of a download, for the description.
        in_demo: Whether it is served of the demo company too; by default what is read.
    """

    method: str
    path: str
    who: Who = EVERYONE
    own: bool = field(default=False, kw_only=True)
    status: int = field(default=0, kw_only=True)
    located: str = field(default="", kw_only=True)
    unknown: str = field(default="", kw_only=True)
    raises: Mapping[int, str] = field(default_factory=dict, kw_only=True)
    tag: str = field(default="", kw_only=True)
    max_body: int = field(default=MAX_BODY_BYTES, kw_only=True)
    example: Any = field(default=None, kw_only=True)
    in_demo: bool | None = field(default=None, kw_only=True)
    shares: bool = field(default=False, kw_only=True)
    media: tuple[str, ...] = field(default=(), kw_only=True)

    def __call__(self, function: Callable[..., Awaitable[Any]]) -> Operation:
        """Declare the function."""
        return Operation(**vars(self), function=function)


operation = Declaration


@dataclass(frozen=True, kw_only=True)
class Operation(Declaration):
    """A declared function."""

    function: Callable[..., Awaitable[Any]]

    @property
    def address(self) -> str:
        """Its whole path."""
        return CONTROL_PLANE + self.path

    @property
    def is_reading(self) -> bool:
        """Whether it changes nothing, by its method."""
        return self.method in READING

    @property
    def is_in_demo(self) -> bool:
        """Whether it is served of the demo company too."""
        return self.is_reading if self.in_demo is None else self.in_demo

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of what the function is given, and as `return` of what it returns."""
        return get_type_hints(self.function, include_extras=True)

    @cached_property
    def answer(self) -> tuple[Any, Any]:
        """The type of its answer, `NoneType` without one, and which of `Tagged`, `Noted` and `Pieces` is around it."""
        returned = self.hints["return"]
        around = get_origin(returned)
        return (get_args(returned)[0], around) if around in {Tagged, Noted, Pieces} else (returned, None)

    @property
    def is_long(self) -> bool:
        """Whether it may take long."""
        return self.shares or "report" in self.hints or bool(self.media)

    @property
    def success(self) -> int:
        """The status of its answer."""
        return self.status or (HTTPStatus.NO_CONTENT if self.answer[0] is NoneType else HTTPStatus.OK)

    @cached_property
    def query(self) -> type[Query]:
        """The struct of its query."""
        found: type[Query] = self.hints.get("query", NoQuery)
        return found

    @cached_property
    def body(self) -> tuple[Any, Callable[[bytes, datetime], Any]] | None:
        """The type of its body for the description, and what reads it at a time; None without one."""
        body = self.hints.get("body")
        if get_origin(body) is Annotated:
            made = get_args(body)[1]
            if isinstance(made, ReadBy):
                return made.schema, lambda data, _: made.read(data)
            body = made
        return body and (body, body.read)

    @cached_property
    def path_parameters(self) -> dict[str, Any]:
        """The types of the parts of its path by name, in order."""
        return {part[1:-1]: self.hints[_argument(part[1:-1])] for part in self.path.split("/") if part.startswith("{")}

    def read_path(self, parts: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments that are parts of the path.

        Raises:
            Problem: 404, a part should be an id and is none.
        """
        found: dict[str, Any] = {}
        for name, kind in self.path_parameters.items():
            try:
                found[_argument(name)] = UUID(parts[name]) if UUID in {kind, *get_args(kind)} else parts[name]
            except ValueError:
                raise Problem(404, sentence(self.unknown)) from None
        return found

    @cached_property
    def text(self) -> tuple[str, str]:
        """What it does, in a few words, and what else is said of it."""
        first, _, rest = inspect.cleandoc(self.function.__doc__ or "").partition("\n")
        return first.rstrip("."), " ".join(rest.split())

    @property
    def is_for_people(self) -> bool:
        """Whether no service token may ask for it."""
        return self.who.are_people or (self.own and not self.is_reading)

    @property
    def refusals(self) -> list[str]:
        """What is said to those who may not ask."""
        roles = [] if self.who.roles == EVERYONE.roles else [self.refusal]
        return roles + ([SERVICE] if self.is_for_people else [])

    @property
    def refusal(self) -> str:
        """What is said to who has another role."""
        what = self.text[0][:1].lower() + self.text[0][1:]
        return f"Only {self.who.plural} may {what.replace('a user', 'another user') if self.own else what}."


def _argument(name: str) -> str:
    """The argument for a part of a path: none is called as a function of Python is."""
    return "id_" if name == "id" else name


def operations_of(modules: Iterable[ModuleType]) -> list[Operation]:
    """All operations that are declared in modules."""
    return [one for module in modules for one in vars(module).values() if isinstance(one, Operation)]


def by_path(operations: Iterable[Operation]) -> dict[str, dict[str, Operation]]:
    """Operations by path and method. A path with a word in some place comes before one with a parameter there."""
    found: dict[str, dict[str, Operation]] = {}
    for one in sorted(operations, key=lambda one: [(part.startswith("{"), part) for part in one.path.split("/")]):
        found.setdefault(one.path, {})[one.method] = one
    return found
