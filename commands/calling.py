"""How a command has an operation done: in this process on the database, or by a server that runs, as a user of it."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic
from types import NoneType
from typing import IO, Any, NamedTuple, TypeAlias, cast, get_args
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, build_opener
from uuid import UUID

import click
import msgspec

from commands.command import identities_of, now, run
from commands.login import Stay, checked_url, kept_token, shorten
from commands.providers import provider_names
from handlers.bridge import Bridge
from handlers.operations.operation import NOTE_HEADER, Ask, Download, Noted, Operation, Pieces, Tagged, argument
from handlers.operations.problems import problem_of
from handlers.operations.query import read_query
from handlers.problems import Problem, ValidationProblem
from intercept.secrets import KnownSecrets
from resources.providers import check_provider
from resources.shown import shown
from settings import Settings
from storage.accounts.audit import Author
from storage.accounts.authentication import ActiveTokens
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.token_uses import TokenUses
from storage.accounts.users import Identity, LastOwnerError, Role, User
from storage.mongo.database import Database
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import Sealer
from storage.queries.accounts import People, Tokens
from storage.queries.interceptions import Interceptions
from storage.queries.questions.questions import Questions
from storage.queries.sessions import Sessions
from storage.search.find import SearchIndex
from upstream.credentials.access import credential_hint

TOKEN_VARIABLE = "AIBRIDGE_TOKEN"  # noqa: S105 - a name
NEEDS_SERVER = "only a running server knows this: give its address with --url"
NEEDS_PERSON = "this is about who asks: give the address of a server with --url"
ANSWER_SECONDS = 600.0
MAX_ERROR_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024
PERSONAL = ("views", "users/me")
"""The beginnings of paths of operations on what the caller has."""

WITH_PROVIDERS = ("prices", "policies")
"""The beginnings of paths of operations that look whether there are the providers that they name."""


OpenParts: TypeAlias = Callable[[Settings, Database, AsyncExitStack], Awaitable[Mapping[str, Any]]]
"""Opens parts of a bridge by name, as a server has them, until the stack is closed."""


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

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Done: TypeAlias = Callable[[Operation, Given], Awaitable[Answered]]
"""Has an operation done."""


class _CommandLine(Ask):
    """The command line asks: it may do what an owner may."""

    force = False

    @property
    def knows_all_providers(self) -> bool:
        """A server may have others in its environment."""
        return False

    @property
    def visible_to(self) -> None:
        """All calls are visible."""

    @property
    def author(self) -> Author:
        """The account of this machine."""
        return Author(force=self.force)


class _ForcedCommandLine(_CommandLine):
    """The command line, which may remove the last owner."""

    force = True


class _NoTrail:
    """What is read on the machine itself is in no trail: the account could read the database as well."""

    def read(self, *_: object) -> None:
        """Leave it."""

    def searched(self, *_: object) -> None:
        """Leave it."""


class _NoServer:
    """What a change is told to in the process of a server. The servers of the database find it there."""

    def put(self, _: object) -> None:
        """Leave it."""


class _LocalBridge:
    """The parts of a bridge that need the database alone, and those that are given.

    Of the others it says that a server is needed.
    """

    def __init__(
        self, settings: Settings, database: Database, providers: Iterable[str], parts: Mapping[str, Any]
    ) -> None:
        self.settings, self.database = settings, database
        self.prices, self.policies = _NoServer(), _NoServer()
        self._names = dict.fromkeys(providers)
        self.now, self.monotonic, self.access = now, monotonic, _NoTrail()
        self.interceptions, self.questions = Interceptions(database), Questions(database)
        self._uses = TokenUses(database, now=now, monotonic=monotonic)
        self.search, self.sessions = SearchIndex(database), Sessions(database)
        self.secrets = KnownSecrets()
        vars(self).update(parts)

    def __getattr__(self, name: str) -> Any:
        raise click.ClickException(NEEDS_SERVER)

    @property
    def providers(self) -> Mapping[str, Any]:
        """The providers by name: as they are routed to where that is known, else their names alone."""
        return self.routing.table.providers if "routing" in vars(self) else self._names

    @property
    def key_pools(self) -> Mapping[str, Any]:
        """The keys of providers by name."""
        pools: Mapping[str, Any] = self.routing.table.key_pools
        return pools

    @cached_property
    def identities(self) -> Identities:
        """Users and tokens."""
        return identities_of(self.database)

    @cached_property
    def groups(self) -> Groups:
        """Groups of users."""
        return Groups(self.database, self.identities, now=now)

    @cached_property
    def people(self) -> People:
        """Users, with groups, tokens and spend."""
        return People(self.database, self.identities, self.groups, self._uses, now=now)

    @cached_property
    def tokens(self) -> Tokens:
        """Tokens, with their last use."""
        return Tokens(self.database, self.identities, self._uses)

    @cached_property
    def active_tokens(self) -> ActiveTokens:
        """Tokens that are in use."""
        return ActiveTokens(self.database, now=now, monotonic=monotonic)

    @cached_property
    def managed(self) -> ManagedProviders:
        """Providers of the database, and what seals."""
        sealer = Sealer(self.settings.encryption_keys)
        return ManagedProviders(self.database, sealer, check=check_provider, hint=credential_hint, now=now)


class _Silent:
    """Takes no progress."""

    in_lines = False

    async def __call__(self, progress: msgspec.Struct | None = None) -> None:
        """Leave it."""


def call_here(
    operation: Operation,
    given: Sequence[Given],
    settings: Settings,
    on_answer: Callable[[Given, Answered], None],
    *,
    open_parts: OpenParts | None = None,
    force: bool = False,
    out: IO[bytes] | None = None,
) -> None:
    """Do an operation once for each that is given. Ask before the only owner goes, unless that is forced.

    `on_answer` is called with each answer before the next one is done. With `out`, a download goes there piece by piece.
    `open_parts` opens what the operation needs beside the database.

    Raises:
        click.ClickException: It cannot be done.
    """
    if operation.path.startswith(PERSONAL):
        raise click.ClickException(NEEDS_PERSON)

    async def work(done: Done) -> None:
        for one in given:
            on_answer(one, await done(operation, one))

    names = operation.path.startswith(WITH_PROVIDERS)
    use_here(settings, work, open_parts=open_parts, with_names=names, force=force, out=out)


def use_here(
    settings: Settings,
    work: Callable[[Done], Awaitable[None]],
    *,
    open_parts: OpenParts | None = None,
    with_names: bool = False,
    force: bool = False,
    out: IO[bytes] | None = None,
) -> None:
    """Work with operations in this process; see `call_here`. `with_names` has them know the names of providers.

    Raises:
        click.ClickException: It cannot be done. The function that is given to `work` raises a `RefusedError` of an operation.
    """

    async def use(database: Database) -> None:
        names = await provider_names(database) if with_names else ()
        async with AsyncExitStack() as stack:
            parts = await open_parts(settings, database, stack) if open_parts else {}
            bridge = cast("Bridge", _LocalBridge(settings, database, names, parts))

            async def attempt(operation: Operation, one: Given, kind: type[_CommandLine]) -> Answered:
                user = User(id=UUID(int=0), username="", name="", role=Role.OWNER, created_at=now())
                ask = kind(bridge, Identity(user=user), client_ip="")
                return await _done(operation, await operation.function(**_arguments(operation, one, ask)), out)

            async def done(operation: Operation, one: Given) -> Answered:
                try:
                    try:
                        return await attempt(operation, one, _ForcedCommandLine if force else _CommandLine)
                    except LastOwnerError as error:
                        click.confirm(f"{error}. Go on without an owner (--force does not ask)?", abort=True, err=True)
                        return await attempt(operation, one, _ForcedCommandLine)
                except Exception as error:
                    if (problem := error if isinstance(error, Problem) else problem_of(error)) is None:
                        raise
                    raise RefusedError(problem.status, _text(problem)) from error

            await work(done)

    run(use)


def _arguments(operation: Operation, given: Given, ask: Ask) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, kind in operation.path_parameters.items():
        try:
            is_id = UUID in {kind, *get_args(kind)}
            arguments[argument(name)] = UUID(given.parts[name]) if is_id else given.parts[name]
        except ValueError:
            raise Problem(404, operation.unknown) from None
    query = {name: [text.encode()] for name, text in given.query.items()}
    further: dict[str, Any] = {"ask": ask, "versions": None, "report": _Silent()}
    further["query"] = read_query(operation.query, query, now())
    if operation.body is not None:
        further["body"] = operation.body[1](given.body)
    return arguments | {name: value for name, value in further.items() if name in operation.hints}


async def _done(operation: Operation, answer: Any, out: IO[bytes] | None) -> Answered:
    notes = tuple(answer.notes) if isinstance(answer, Noted) else ()
    if out is not None:
        async with aclosing(answer.pieces) as pieces:
            async for piece in pieces:
                out.write(piece)
        return Answered(b"", is_json=False)
    if isinstance(answer, Pieces | Download):
        content = b"".join([piece async for piece in answer.pieces])
        return Answered(content, isinstance(answer, Pieces))
    if operation.answer[0] is NoneType:
        return Answered(b"", is_json=True)
    value = shown(answer.value if isinstance(answer, Tagged) else answer)
    return Answered(msgspec.json.encode(value), is_json=True, notes=notes)


def _text(problem: Problem) -> str:
    validations = problem.validations if isinstance(problem, ValidationProblem) else ()
    detail = problem.detail if isinstance(problem, ValidationProblem) else ""
    return _in_words(problem.message, detail, validations)


def _in_words(message: str, detail: str, validations: Any) -> str:
    """An error in one line: what is wrong of each field, else the detail, else the message."""
    return "; ".join(f"{field}: {rule}" for field, rule in validations) or detail or message


def call_there(
    operation: Operation, given: Given, url: str, token_file: Path | None, *, out: IO[bytes] | None = None
) -> Answered:
    """Have a server do an operation. With `out`, its answer goes there piece by piece.

    Raises:
        RefusedError: It refuses.
        click.ClickException: It cannot be reached.
    """
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
        response = build_opener(Stay()).open(request, timeout=ANSWER_SECONDS)
    except HTTPError as error:
        with error:
            raise RefusedError(error.code, _refusal(address, error.code, error.read(MAX_ERROR_BYTES))) from error
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error) from error
    with response:
        while out is not None and (piece := _read(response, address, PIECE_BYTES)):
            out.write(piece)
        is_json = "json" in response.headers.get("Content-Type", "json")
        return Answered(_read(response, address), is_json, tuple(response.headers.get_all(NOTE_HEADER) or ()))


def _read(response: HTTPResponse, address: str, most: int | None = None) -> bytes:
    try:
        return response.read(most)
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> click.ClickException:
    return click.ClickException(f"{address} cannot be reached: {getattr(error, 'reason', error)}")


def _refusal(address: str, status: int, body: bytes) -> str:
    try:
        said = json.loads(body)
        validations = [(one["field"], one["detail"]) for one in said.get("validations", ())]
        return shorten(_in_words(said["message"], said.get("detail", ""), validations))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{address} answers {status}: it is no AI Bridge, or an older one"


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
