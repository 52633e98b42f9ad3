"""What people ask the bridge that they signed in to: `usage`, `calls`, `why`, and `sessions` and `spend` alone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from commands.calling import Done, Given, RefusedError, do, server_options
from commands.login import kept_address
from commands.operations import LIMITS, TABLES, OperationCommand, resource
from commands.output import cell, field_at, output_option, show_json, show_rows, show_table
from handlers.operations.catalogue import OPERATIONS
from handlers.operations.operation import Operation
from resources.recorded.export_formats import write_csv
from settings.setting import Setting

FOLLOW_SECONDS = 2.0
SHOWN_FIRST, FOLLOWED = 20, 100
"""How many of the newest calls are asked for at first, and from then on of those since."""

_TIMES = re.compile(r"\b(?:since|until|range|started_after|started_before):")
"""What in a search is about times, so that it is asked again as it is."""

ASKED_AT = "Ask the server at URL; default: the only one that you signed in to with `login`."
NOTHING = "no call and no refusal with this request id is recorded that you may see"
SHOWN = (
    *("at", "started_at", "status", "end_reason", "error", "rule", "message", "policy", "retry_after_ms"),
    *("initiator", "provider", "model", "client", "upstream_status", "cost", "id"),
)
"""What `why` shows, of a call and of a refusal, where it has it."""

BY_NAME = {one.function.__name__: one for one in OPERATIONS}


class PersonalQuestion(NamedTuple):
    """What a command asks: an operation, and what is given to it unless somebody says something else."""

    operation: str
    parts: Mapping[str, str] = {}
    query: Mapping[str, str] = {}


QUESTIONS = {
    "calls": PersonalQuestion("list_interceptions"),
    "sessions": PersonalQuestion("list_sessions"),
    "spend": PersonalQuestion("get_statistics", query={"group_by": "model", "range": "30d", "order_by": "cost"}),
    "usage": PersonalQuestion("get_usage", parts={"name": "me"}),
}


class PersonalCommand(OperationCommand):
    """A command that asks a question of the server at `--url`, or of the only one that somebody signed in to."""

    def __init__(self, name: str, question: PersonalQuestion) -> None:
        super().__init__(BY_NAME[question.operation], name, None)
        self._question = question
        self.params = [
            one
            for one in self.params
            if not isinstance(one, Setting) and (one.name or "").removeprefix("path_") not in question.parts
        ]
        for one in self.params:
            if one.name == "url" and isinstance(one, click.Option):
                one.help = ASKED_AT
            one.default = question.query.get((one.name or "").removeprefix("query_"), one.default)
        if question.operation == "list_interceptions":
            self.params.append(click.Option(["-f", "--follow"], is_flag=True, help="Go on with those that begin."))

    def _chosen(self, values: dict[str, Any]) -> tuple[Operation, dict[str, Any]]:  # noqa: ARG002 - nothing is given for the path
        return self._operation, dict(self._question.parts)

    def _call(self, url: str | None, token_file: Path | None, *, follow: bool = False, **values: Any) -> None:
        url = url or kept_address()
        if not follow:
            super()._call(url, token_file, **values)
            return
        if ignored := [
            name.removeprefix("query_") for name in ("query_limit", "query_offset", "query_after_id") if values[name]
        ]:
            raise click.UsageError(f"--follow does not go with --{ignored[0].replace('_', '-')}")
        self._follow(url, token_file, values["query_q"] or "", values["output"])

    def _follow(self, url: str, token_file: Path | None, q: str, output: str) -> None:
        """Print the newest calls, and then those that begin, each once, in the order of their starts."""
        asked, limit, seen = q, SHOWN_FIRST, set[str]()
        while True:
            query = {"limit": str(limit)} | ({"q": asked} if asked else {})
            rows = ask_server(url, token_file, self._operation, {}, query)["results"]
            for one in reversed(rows):
                if one["id"] not in seen:
                    click.echo(_line(one, TABLES[self._question.operation].columns, output))
            if rows:
                seen = {one["id"] for one in rows}
                if not _TIMES.search(q):
                    asked = f'{q} started_after:"{rows[0]["started_at"]}"'.strip()
            limit = FOLLOWED
            time.sleep(FOLLOW_SECONDS)


def _line(one: Mapping[str, Any], columns: Sequence[str], output: str) -> str:
    """A call in a line: as its columns, as CSV, or as JSON."""
    if output == "json":
        return json.dumps(one)
    cells = [cell(field_at(one, column)) for column in columns]
    return write_csv([cells]).decode().rstrip() if output == "csv" else "  ".join(cells)


def ask_server(
    url: str, token_file: Path | None, operation: Operation, parts: Mapping[str, str], query: Mapping[str, str]
) -> Any:
    """What a server answers to an operation."""
    found: list[Any] = []

    async def work(done: Done) -> None:
        found.append(json.loads((await done(operation, Given(parts, query, b""))).content))

    do(work, url, token_file)
    return found[0]


@click.command("why", params=[*server_options(), output_option()])
@click.argument("request_id", metavar="ID")
def why(request_id: str, url: str | None, token_file: Path | None, output: str) -> None:
    """Say what became of the request with this ID, and why it was refused.

    ID is the request id of an error of the bridge, or X-AI-Bridge-Interception-Id of a response.
    """
    url = url or kept_address()
    query = {"q": f"request_id:{json.dumps(request_id)}", "limit": "1"}
    for name in ("list_refusals", "list_interceptions"):
        if found := ask_server(url, token_file, BY_NAME[name], {}, query)["results"]:
            break
    else:
        raise click.ClickException(NOTHING)
    (one,) = found
    rules: dict[str, Any] = {}
    if "rule" in one and one["initiator"]:
        given = {key: one[key] for key in ("model", "provider") if one[key]}
        try:
            rules = ask_server(
                url, token_file, BY_NAME["explain_policy"], {"name": one["initiator"]["username"]}, given
            )
        except RefusedError:  # the rules of somebody else are not for everybody
            rules = {}
    if output == "json":
        show_json({"found": one, "rules": rules})
    elif output == "csv":
        show_rows([one], list(one), output)
    else:
        _explain(one, rules)


def _explain(one: dict[str, Any], rules: dict[str, Any]) -> None:
    show_table([(name, cell(one[name])) for name in SHOWN if one.get(name) is not None])
    for section, columns in (("models", ("source.level", "source.name", "allow", "deny")), ("limits", LIMITS)):
        if rules.get(section):
            click.echo()
            show_rows(rules[section], columns, "table")
    if "rule" in one:
        click.echo("\nPolicies and limits are changed by the owners of this bridge: send them this.")


class _Resource(click.Group):
    """The commands of a resource, and what it does without one."""

    def __init__(self, name: str) -> None:
        super().__init__(name, commands=resource(name).commands)
        alone = PersonalCommand("summary", QUESTIONS[name])
        self.add_command(alone)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments: without a command it is `summary`."""
        is_alone = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["summary", *args] if is_alone else args)


calls = PersonalCommand("calls", QUESTIONS["calls"])
usage = PersonalCommand("usage", QUESTIONS["usage"])
calls.help = usage.help = None  # what the list of all commands says of them
sessions = _Resource("sessions")
spend = _Resource("spend")
