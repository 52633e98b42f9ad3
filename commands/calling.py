"""How a command has an operation done: in this process on the database, or by a server that runs, as a user of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, fields
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic
from types import NoneType, SimpleNamespace
from typing import IO, Any, NamedTuple, TypeAlias
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request
from uuid import UUID

import click
import msgspec

from commands.command import identities_of, now, run
from commands.login import NoAnswerError, checked_url, kept_token, send, shorten
from handlers.bridge import Bridge, managed_providers
from handlers.operations.operation import NOTE_HEADER, Ask, Download, Noted, Operation, Pieces, Tagged
from handlers.operations.problems import problem_of
from handlers.operations.query import read_query
from handlers.problems import Problem, ValidationProblem
from intercept.secrets import KnownSecrets
from resources.fields import shown
from settings import Settings, settings_of
from settings.loading import make_client
from storage.accounts.audit import Author
from storage.accounts.authentication import ActiveTokens
from storage.accounts.groups import Groups
from storage.accounts.token_uses import TokenUses
from storage.accounts.users import Identity, LastOwnerError, Role, User
from storage.mongo.database import Database
from storage.queries.accounts import People, Tokens
from storage.queries.interceptions import Interceptions
from storage.queries.questions.questions import Questions
from storage.queries.sessions import Sessions
from storage.search.find import SearchIndex
from upstream.providers.presets import ProviderType
from upstream.providers.table import ProviderTable

TOKEN_VARIABLE = "AIBRIDGE_TOKEN"  # noqa: S105 - a name
NEEDS_SERVER = "only a running server knows this: give its address with --url"
NEEDS_PERSON = "this is about who asks: give the address of a server with --url"
ANSWER_SECONDS = 600.0
MAX_ERROR_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024
PERSONAL = ("views", "users/me")
"""The beginnings of paths of operations on what the caller has."""

OpenParts: TypeAlias = Callable[[Settings, Database], Awaitable[Mapping[str, Any]]]
"""Opens parts of a bridge by name, as a server has them."""


class Given(NamedTuple):
    """What is given to an operation, as text: the parts of its path, its query, and the JSON of its body."""

    parts: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


class Answered(NamedTuple):
    """What an operation answers: JSON where it is no download, and nothing of one that has no answer."""

    content: bytes
    is_json: bool
    notes: tuple[str, ...] = ()


class RefusedError(click.ClickException):
    """An operation was refused. `status` is the one with which the API refuses it."""

    def __init__(self, status: int, message: str, detail: str = "", validations: Any = ()) -> None:
        # In one line: what is wrong of each field, else the detail, else the message.
        super().__init__("; ".join(f"{field}: {rule}" for field, rule in validations) or detail or message)
        self.status = status


Done: TypeAlias = Callable[[Operation, Given], Awaitable[Answered]]
"""Has an operation done."""

Work: TypeAlias = Callable[[Done], Awaitable[None]]
"""What a command does by operations."""


def server_options() -> list[click.Parameter]:
    """The flags that name a server: `url` and `token_file`."""
    return [
        click.Option(["--url"], metavar="URL", help="Ask the server at URL instead of the database."),
        click.Option(
            ["--token-file"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="File with a token for URL; default: AIBRIDGE_TOKEN, or the token that `login URL` keeps.",
        ),
    ]


def do(
    work: Work,
    url: str | None,
    token_file: Path | None,
    *,
    open_parts: OpenParts | None = None,
    force: bool = False,
    out: IO[bytes] | None = None,
) -> None:
    """Do the work of a command by operations of the server at `url`, or without one in this process.

    Args:
        work: Is given what has an operation done.
        url: The address of the server.
        token_file: A file with a token for it.
        open_parts: Opens what the operations need beside the database, in this process.
        force: Do not ask before the only owner goes. Only in this process.
        out: Where a download goes, piece by piece.

    Raises:
        click.ClickException: It cannot be done. What is given to `work` raises a `RefusedError` where an operation is refused.
    """
    if url is None:
        settings = settings_of(click.get_current_context())
        run(lambda database: _do_here(work, settings, database, open_parts, out, force=force))
    else:

        async def there(operation: Operation, given: Given) -> Answered:
            return _call_there(operation, given, url, token_file, out)

        asyncio.run(work(there))  # type: ignore[arg-type]


# In this process.


@dataclass(frozen=True)
class _CommandLine(Ask):
    """The command line asks: it may do what an owner may, and with `force` remove the last one."""

    force: bool = False

    @property
    def knows_all_providers(self) -> bool:
        """A server may have others in its environment."""
        return False

    @property
    def author(self) -> Author:
        """The account of this machine."""
        return Author(force=self.force)


class _Missing:
    """A part that a running server alone has."""

    def __getattr__(self, name: str) -> Any:
        raise click.ClickException(NEEDS_SERVER)

    def __call__(self, *_: object) -> Any:
        """Say that it is missing."""
        raise click.ClickException(NEEDS_SERVER)


class _Untold(_Missing):
    """What is told to a running server alone, and not in this process.

    Servers find changes in the database. What is read on the machine itself is in no trail: its account could read the
    database as well.
    """

    def put(self, *_: object) -> None:
        """Leave it."""

    read = searched = put


async def _bridge(settings: Settings, database: Database, further: Mapping[str, Any]) -> Bridge:
    """A bridge of the parts that need the database alone, and of further ones."""
    identities, managed = identities_of(database), managed_providers(database, settings, now)
    groups, uses = Groups(database, identities, now=now), TokenUses(database, now=now, monotonic=monotonic)
    stored = [one.spec.name for one in await managed.list_all()]
    names = [*(one.name for one in settings.providers), *stored, ProviderType.DEMO]
    parts: dict[str, Any] = {
        "settings": settings,
        "database": database,
        "routing": SimpleNamespace(table=ProviderTable(dict.fromkeys(names), {})),  # type: ignore[arg-type]
        "managed": managed,
        "identities": identities,
        "groups": groups,
        "people": People(database, identities, groups, uses, now=now),
        "tokens": Tokens(database, identities, uses),
        "active_tokens": ActiveTokens(database, now=now, monotonic=monotonic),
        "interceptions": Interceptions(database),
        "questions": Questions(database),
        "search": SearchIndex(database),
        "sessions": Sessions(database),
        "secrets": KnownSecrets(),
        "now": now,
        "monotonic": monotonic,
        **dict.fromkeys(("policies", "prices", "access"), _Untold()),
        **further,
    }
    missing: dict[str, Any] = dict.fromkeys((one.name for one in fields(Bridge)), _Missing())
    return Bridge(**(missing | parts))


class _Silent:
    """Takes no progress."""

    in_lines = False

    async def __call__(self, progress: float | None = None) -> None:
        """Leave it."""


async def _do_here(
    work: Work,
    settings: Settings,
    database: Database,
    open_parts: OpenParts | None,
    out: IO[bytes] | None,
    *,
    force: bool,
) -> None:
    user = User(id=UUID(int=0), username="", name="", role=Role.OWNER, created_at=now())
    async with AsyncExitStack() as stack:
        upstream = make_client(settings)
        stack.push_async_callback(upstream.close)
        parts = {"upstream": upstream, **(await open_parts(settings, database) if open_parts else {})}
        bridge = await _bridge(settings, database, parts)

        async def attempt(operation: Operation, given: Given, *, force: bool) -> Answered:
            ask = _CommandLine(bridge, Identity(user=user), client_ip="", force=force)
            answer = await operation.function(**_arguments(operation, given, ask))
            return await _answered(operation, answer, out)

        async def here(operation: Operation, given: Given) -> Answered:
            if operation.path.startswith(PERSONAL):
                raise click.ClickException(NEEDS_PERSON)
            try:
                try:
                    return await attempt(operation, given, force=force)
                except LastOwnerError as error:
                    click.confirm(f"{error}. Go on without an owner (--force does not ask)?", abort=True, err=True)
                    return await attempt(operation, given, force=True)
            except Exception as error:
                problem = error if isinstance(error, Problem) else problem_of(error)
                if problem is None:
                    raise
                more = (problem.detail, problem.validations) if isinstance(problem, ValidationProblem) else ()
                raise RefusedError(problem.status, problem.message, *more) from error

        await work(here)


def _arguments(operation: Operation, given: Given, ask: Ask) -> dict[str, Any]:
    arguments = operation.read_path(given.parts)
    further: dict[str, Any] = {"ask": ask, "versions": None, "report": _Silent()}
    query = {name: [text.encode()] for name, text in given.query.items()}
    further["query"] = read_query(operation.query, query, now())
    if operation.body is not None:
        further["body"] = operation.body[1](given.body, now())
    return arguments | {name: value for name, value in further.items() if name in operation.hints}


async def _answered(operation: Operation, answer: Any, out: IO[bytes] | None) -> Answered:
    if isinstance(answer, Pieces | Download):
        found = []
        async with aclosing(answer.pieces) as pieces:
            async for piece in pieces:
                found.append(piece) if out is None else out.write(piece)
        return Answered(b"".join(found), isinstance(answer, Pieces))
    if operation.answer[0] is NoneType:
        return Answered(b"", is_json=True)
    notes = tuple(answer.notes) if isinstance(answer, Noted) else ()
    value = shown(answer.value if isinstance(answer, Tagged) else answer)
    return Answered(msgspec.json.encode(value), is_json=True, notes=notes)


# By a server.


def _call_there(
    operation: Operation, given: Given, url: str, token_file: Path | None, out: IO[bytes] | None
) -> Answered:
    address = checked_url(url)
    headers = {"Authorization": f"Bearer {_token(address, token_file)}", "Accept": "application/json, */*"}
    if operation.body is not None:
        headers["Content-Type"] = "application/json"
    path = operation.address
    for name, part in given.parts.items():
        path = path.replace(f"{{{name}}}", quote(part, safe=""))
    query = f"?{urlencode(given.query)}" if given.query else ""
    body = given.body if operation.body is not None else None
    request = Request(f"{address}{path}{query}", body, headers, method=operation.method)  # noqa: S310 - http or https
    try:
        response = send(request, ANSWER_SECONDS)
    except (OSError, HTTPException) as error:
        raise NoAnswerError(address, error) from error
    with response:
        if isinstance(response, HTTPError):
            raise _refusal(address, response.code, _read(response, address, MAX_ERROR_BYTES))
        while out is not None and (piece := _read(response, address, PIECE_BYTES)):
            out.write(piece)
        is_json = "json" in response.headers.get("Content-Type", "json")
        return Answered(_read(response, address), is_json, tuple(response.headers.get_all(NOTE_HEADER) or ()))


def _read(response: HTTPResponse | HTTPError, address: str, most: int | None = None) -> bytes:
    try:
        return response.read() if most is None else response.read(most)
    except (OSError, HTTPException) as error:
        raise NoAnswerError(address, error) from error


def _refusal(address: str, status: int, body: bytes) -> RefusedError:
    try:
        said = json.loads(body)
        validations = [(shorten(one["field"]), shorten(one["detail"])) for one in said.get("validations", ())]
        return RefusedError(status, shorten(said["message"]), shorten(said.get("detail")), validations)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return RefusedError(status, f"{address} answers {status}: it is no AI Bridge, or an older one")


def _token(address: str, file: Path | None) -> str:
    """The token in a file, else that of the variable, else the one that `login` keeps."""
    try:
        token = file.read_text().strip() if file else os.environ.get(TOKEN_VARIABLE, "")
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} cannot be read as a token") from error
    if file or token:
        if not token or not token.isascii() or not token.isprintable():
            raise click.ClickException(f"{file or TOKEN_VARIABLE} holds no token")
        return token
    return kept_token(address)
