"""Commands that are made of the operations of the API: same names, and a flag for each field."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, Union, get_args, get_origin

import click
import msgspec
from msgspec import Meta, Struct, UnsetType, structs

from commands.calling import Answered, Done, Given, OpenParts, do, server_options
from commands.output import cell, output_option, show_json, show_rows, show_table, standard_output
from commands.providers import read_keys, read_text
from handlers.operations.catalogue import OPERATIONS
from handlers.operations.operation import Download, Operation
from settings import SettingsCommand, declared
from settings.declarations import DATABASE
from storage.accounts.users import Role

NAMES = {
    "create_token": "tokens create",
    "list_tokens": "tokens list",
    "look_up_token": "tokens lookup",
    "search_tokens": "tokens find",
    "create_service_token": "",
    "list_service_tokens": "",
    "list_members": "groups members",
    "invite_user": "users invite",
    "get_statistics": "stats show",
    "request_recost": "prices recost",
    "list_recosts": "prices recosts",
    "get_recost": "prices show-recost",
    "test_webhook": "webhooks test",
    "list_configured_providers": "providers list",
    "list_providers": "",
    **{f"{verb}_everyones_policy": f"policies {verb}" for verb in ("set", "change", "remove")},
    "get_everyones_policy": "policies show",
    **{f"{verb}_{of}_policy": "" for verb in ("get", "set", "change", "remove") for of in ("group", "user", "token")},
}
"""Names that do not follow from the operation's own; without a name there is no command."""


class Table(NamedTuple):
    """What a table shows of an answer: which fields of its rows, and of the answer itself before them.

    Attributes:
        columns: Names or paths of fields; empty for the first ones.
        rows: The field of the answer that has the rows.
        before: As `columns`, of the answer.
        empty: What is said instead of a table without rows.
    """

    columns: Sequence[str] = ()
    rows: str = "results"
    before: Sequence[str] = ()
    empty: str = ""


PRICES = Table(
    ("provider", "model", "valid_from", "input", "output", "cache_read", "cache_write", "cache_write_1h"), "prices"
)
LIMITS = ("source.level", "source.name", "kind", "of", "maximum", "used", "remaining", "next_free_at", "resets_at")
TOTAL = ("total.interceptions", "total.failed", "total.tokens", "total.cost_usd")

TABLES = {
    "list_users": Table(("username", "role", "name", "groups", "last_seen_at", "spend_usd", "created_at", "id")),
    "list_groups": Table(("name", "display_name", "members", "created_at", "id")),
    "list_policies": Table(("level", "name", "says", "path")),
    "list_tokens": Table(("id", "name", "created_at", "expires_at", "revoked_at", "last_used_at")),
    "search_tokens": Table(("id", "user", "name", "created_at", "expires_at", "revoked_at", "last_used_at")),
    "list_prices": PRICES,
    "set_prices": PRICES,
    "list_recosts": Table(
        ("id", "state", "from", "to", "done", "total", "changed", "cost_before_usd", "cost_after_usd")
    ),
    "list_webhooks": Table(("id", "url", "disabled", "waiting", "last_delivery")),
    "reconcile_spend": Table(
        (
            *("day", "model", "recorded.tokens", "reported.tokens", "recorded.cost_usd", "reported.cost_usd"),
            *("verdict", "reason"),
        )
    ),
    "list_interceptions": Table(
        ("started_at", "initiator", "provider_name", "model", "client", "end_reason", "cost.usd", "id")
    ),
    "list_sessions": Table(("last_active_at", "initiator", "client", "interceptions", "cost_usd", "id")),
    "get_statistics": Table(("group", *TOTAL), "groups"),
    "get_usage": Table(LIMITS, "limits", before=(*TOTAL, "spend_usd"), empty="No limit holds for the user."),
}
"""Tables of operations that show other fields than the first ones of `results`."""

MAX_COLUMNS = 7

OTHER_FLAGS = {"url": "--new-url"}
"""Flags of fields whose names are those of other flags."""

OF_FILES = {
    "keys": "--key-file",
    "ca_certificates": "--ca-file",
    "client_certificate": "--client-certificate-file",
    "proxy_credentials": "--proxy-credentials-file",
    "aws_access_key": "--aws-access-key-file",
}
"""Flags that name files, by the field that gets their content."""

DEFAULTS = {"role": Role.MEMBER.value}
"""What fields are that must be given, where a command line says nothing."""

SECRETS = ("token", "secret")
"""Fields of answers that are shown once."""

TOKEN = "token"  # noqa: S105 - a name
"""The field of a body that is read from standard input, as it does not belong on a command line."""

RANGE_START = "from"
"""The field that is a flag also where it must be given, as it is beside `--to`."""

CONTENTS = "get_desk_files"
"""The operation whose answer is files, which are shown whole."""

POLICIES = "policies/"
"""The beginning of paths of operations on a policy, which is shown as JSON: so it is given again."""

DOWNLOAD = "It goes to standard output: write it to a file with > FILE. The file is complete if the exit code is 0."
"""What is said of commands whose answer is a download."""

OF = "everyone, groups/GROUP, users/USER or tokens/TOKEN"
"""How it is said whose policy it is."""


def resource(name: str, open_parts: OpenParts | None = None) -> click.Group:
    """The commands of all operations that belong to a resource, by the first word of their paths.

    `open_parts` opens what they need beside the database, where no server is asked.
    """
    group = click.Group(name)
    for operation in OPERATIONS:
        of, _, command = name_of(operation).partition(" ")
        if of == name and command:
            kind = _PolicyCommand if operation.path.startswith(POLICIES) else OperationCommand
            group.add_command(kind(operation, command, open_parts))
    return group


def name_of(operation: Operation) -> str:
    """What an operation is called as a command: the resource, and what is done with it. Empty where there is none."""
    if (named := NAMES.get(operation.function.__name__)) is not None:
        return named
    group = operation.path.partition("/")[0]
    verb, *words = operation.function.__name__.split("_")
    nouns = {group, group.removesuffix("s"), group.replace("ies", "y")}
    what = [word for word in words if word not in nouns]
    if verb == "get":
        return f"{group} {'-'.join(what) or 'show'}"
    return f"{group} {'-'.join([verb, *what])}"


class OperationCommand(SettingsCommand):
    """A command that has an operation done, and prints its answer."""

    def __init__(self, operation: Operation, name: str, open_parts: OpenParts | None) -> None:
        self._operation = operation
        self._open_parts = open_parts
        self._is_repeatable = (
            bool(operation.path_parameters) and operation.answer[0] is NoneType and operation.body is None
        )
        self._is_download = operation.answer[0] is Download
        self._fields = _fields(operation)
        summary, text = operation.text
        super().__init__(
            name,
            callback=self._call,
            help=f"{summary}.\n\n{text}".replace("`", ""),
            params=[*declared(DATABASE), *self._path(), *self._options(), *self._common()],
        )
        if self._is_download:
            self.help = f"{self.help}\n\n{DOWNLOAD}"

    def _path(self) -> list[click.Parameter]:
        names = list(self._operation.path_parameters)
        last = names[-1:] if self._is_repeatable else []
        arguments: list[click.Parameter] = [
            click.Argument(
                [_variable("path", name)], metavar=name.upper(), nargs=-1 if name in last else 1, required=True
            )
            for name in names
        ]
        arguments += [
            click.Argument([_variable("body", one.encode_name)], metavar=one.encode_name.upper())
            for one in self._fields.values()
            if _is_argument(one)
        ]
        if self._operation.body is not None and not self._fields:
            arguments.append(click.Argument(["file"], type=click.File("rb"), metavar="FILE"))
        return arguments

    def _options(self) -> list[click.Parameter]:
        fields = [one for one in self._fields.values() if not _is_argument(one) and one.encode_name != TOKEN]
        query = self._operation.query
        return [
            *(_option("query", one, is_text=one.encode_name in query.readers) for one in structs.fields(query)),
            *(_option("body", one) for one in fields),
        ]

    def _common(self) -> list[click.Parameter]:
        options = server_options()
        if self._operation.path == "users/{name}" and not self._operation.is_reading:
            options.append(click.Option(["--force"], is_flag=True, help="Do not ask, also if it is the only owner."))
        if not self._is_download and self._operation.answer[0] is not NoneType:
            options.append(output_option())
        return options

    def _chosen(self, values: dict[str, Any]) -> tuple[Operation, dict[str, Any]]:
        """Take what is given for the path. Return it, and the operation that it is for."""
        operation = self._operation
        return operation, {name: values.pop(_variable("path", name)) for name in operation.path_parameters}

    def _call(
        self,
        url: str | None,
        token_file: Path | None,
        *,
        output: str = "table",
        force: bool = False,
        **values: Any,
    ) -> None:
        operation, parts = self._chosen(values)
        query = {
            one.encode_name: _text(value)
            for one in structs.fields(operation.query)
            if (value := values.pop(_variable("query", one.encode_name))) not in (None, ())
        }
        body = self._body(values)
        last = list(parts)[-1] if parts else ""
        each = parts[last] if self._is_repeatable else [parts.get(last, "")]
        given = [Given({**parts, last: one} if last else {}, query, body) for one in each]

        async def work(done: Done) -> None:
            for one in given:
                answered = await done(operation, one)
                if not self._is_download:
                    _show(operation, answered, output, what=one.parts.get(last, ""))

        with standard_output() if self._is_download else nullcontext() as out:
            do(work, url, token_file, open_parts=self._open_parts, force=force, out=out)

    def _body(self, values: Mapping[str, Any]) -> bytes:
        file: BinaryIO | None = values.get("file")
        if file is not None:
            return file.read(self._operation.max_body + 1)
        given = {name: values.get(_variable("body", name)) for name in self._fields}
        if TOKEN in given:
            given[TOKEN] = sys.stdin.readline().strip()
        return msgspec.json.encode({name: value for name, value in given.items() if value not in (None, ())})


class _PolicyCommand(OperationCommand):
    """A command on the policy of somebody, made of the operation on everyone's: OF says whose it is."""

    def __init__(self, operation: Operation, name: str, open_parts: OpenParts | None) -> None:
        super().__init__(operation, name, open_parts)
        self.params.insert(0, click.Argument(["of"], metavar="OF"))
        self.help = f"{(self.help or '').replace('of everyone', 'of OF')}\n\nOF is {OF}."

    def _chosen(self, values: dict[str, Any]) -> tuple[Operation, dict[str, Any]]:
        of: str = values.pop("of")
        kind, _, name = of.partition("/")
        for operation in OPERATIONS if name else ():
            if operation.method == self._operation.method and operation.path.startswith(f"{POLICIES}{kind}/{{"):
                return operation, dict.fromkeys(operation.path_parameters, name)
        if of != "everyone":
            raise click.UsageError(f"{of!r} is not allowed; give {OF}")
        return self._operation, {}


def _fields(operation: Operation) -> dict[str, structs.FieldInfo]:
    """The fields of a body that can be flags; none where some cannot, so that all of it is a file."""
    kind = operation.body[0] if operation.body is not None else None
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return {}
    fields = {one.encode_name: one for one in structs.fields(kind)}
    try:
        for one in fields.values():
            _option("body", one)
    except TypeError:
        return {}
    return fields


def _is_argument(field: structs.FieldInfo) -> bool:
    """Whether a field of a body stands without a flag: text that must be given."""
    return field.required and field.encode_name not in {TOKEN, RANGE_START} and _kind(field.type)[0] is str


def _variable(where: str, name: str) -> str:
    """The name that a function has for what is given as `name`: in the path, the query or the body."""
    return f"{where}_{name}"


def _option(where: str, field: structs.FieldInfo, *, is_text: bool = False) -> click.Option:
    """The flag of a field. What the API reads as text in a way of its own is text here.

    Raises:
        TypeError: It is of a kind that no flag is.
    """
    kind, text = _kind(field.type)
    if where == "body" and (flag := OF_FILES.get(field.encode_name)):
        return _file_option(flag, _variable(where, field.encode_name), text, is_list=get_origin(kind) is list)
    more: dict[str, Any] = {}
    flag = OTHER_FLAGS.get(field.encode_name) or f"--{field.encode_name.replace('_', '-')}"
    if is_text:
        kind = str
    if get_origin(kind) is list:
        kind, more = _kind(get_args(kind)[0])[0], {"multiple": True, "callback": _without_empty}
    if kind is bool:
        flag = f"{flag}/--no-{flag[2:]}"
        more = {"default": None}
    elif get_origin(kind) is Literal:
        more["type"] = click.Choice([str(one) for one in get_args(kind)])
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        more["type"] = click.Choice([one.value for one in kind])
    elif kind is int:
        more["type"] = int
    elif get_origin(kind) is not None or kind is Any or issubclass(kind, Struct):
        raise TypeError(kind)
    if field.required and field.encode_name in DEFAULTS:
        more |= {"default": DEFAULTS[field.encode_name], "show_default": True}
    return click.Option(
        [flag, _variable(where, field.encode_name)], required=field.required, help=text.replace("`", ""), **more
    )


def _file_option(flag: str, name: str, text: str, *, is_list: bool) -> click.Option:
    """A flag that names files with what does not belong on a command line: keys, one a line, or a text."""

    def content(_context: click.Context, _option: click.Parameter, files: Any) -> Any:
        if is_list:
            return read_keys(files) if files else None
        return None if files is None else read_text(files)

    what = "keys, one a line. They replace those that are there. Repeatable." if is_list else f"this: {text}"
    kind = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
    help_ = f"File with {what} - is the standard input.".replace("`", "")
    return click.Option([flag, name], type=kind, metavar="FILE", multiple=is_list, callback=content, help=help_)


def _without_empty(_context: click.Context, _option: click.Parameter, values: tuple[Any, ...]) -> Any:
    """The values of a list. One empty text is an empty list, which is not the same as none that is given."""
    return [] if values == ("",) else values


def _kind(kind: Any) -> tuple[Any, str]:
    """The type of a field without the words that it may be left out, and what is said of it."""
    text = ""
    while get_origin(kind) in {Annotated, Union, UnionType}:
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
            text = next((one.description for one in notes if isinstance(one, Meta) and one.description), text)
        else:
            kinds = [one for one in get_args(kind) if one not in {NoneType, UnsetType}]
            if len(kinds) > 1:
                raise TypeError(kind)
            kind = kinds[0]
    return kind, text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _show(operation: Operation, answered: Answered, output: str, *, what: str) -> None:
    """Print an answer."""
    for note in answered.notes:
        click.echo(f"Note: {note}", err=True)
    if not answered.is_json:
        click.echo(answered.content, nl=False)
        return
    if not answered.content:
        click.echo(f"{what}: done." if what else "Done.")
        return
    value = json.loads(answered.content)
    _print(operation, value, "json" if operation.path.startswith(POLICIES) else output)
    if isinstance(value, dict) and (value.get("ok") is False or value.get("differ")):
        raise click.exceptions.Exit(1)


def _print(operation: Operation, value: Any, output: str) -> None:
    table = TABLES.get(operation.function.__name__, Table())
    if output == "json":
        show_json(value)
    elif operation.function.__name__ == CONTENTS and output == "table":
        click.echo(
            "\n".join(f"# {one['path']}\n# {one['about']}\n\n{one['content']}" for one in value["results"]), nl=False
        )
    elif isinstance(value, dict) and isinstance(value.get(table.rows), list):
        _print_rows(value, table, output)
    elif isinstance(value, list):
        rows = [one if isinstance(one, dict) else {"name": one} for one in value]
        show_rows(rows, table.columns or list(rows[0] if rows else ())[:MAX_COLUMNS], output)
    elif secret := next((name for name in SECRETS if isinstance(value.get(name), str)), None):
        click.echo(f"{cell(value['id'])}: the {secret} will not be shown again.", err=True)
        click.echo(value[secret])
    elif output == "csv":
        show_rows([value], list(value), output)
    else:
        show_table([(name, cell(one)) for name, one in value.items()])


def _print_rows(value: dict[str, Any], table: Table, output: str) -> None:
    rows = value[table.rows]
    if table.before and output == "table":
        show_rows([value], table.before, output)
        click.echo()
    if not rows and table.empty and output == "table":
        click.echo(table.empty)
    else:
        show_rows(rows, table.columns or list(rows[0] if rows else ())[:MAX_COLUMNS], output)
    if table.rows == "results" and (count := value.get("count") or 0) > len(rows):
        click.echo(f"{len(rows)} of {count}: see --limit and --offset.", err=True)


def __getattr__(name: str) -> click.Group:
    return resource(name)
