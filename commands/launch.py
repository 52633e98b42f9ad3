"""`run`: start an agent so that it calls the bridge, with nothing set up on the machine, and say what that came to."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from uuid import uuid4

import click

from commands.calling import TOKEN_VARIABLE
from commands.login import checked_url, kept_address, kept_token, sign_in
from commands.terminal import BY_NAME, ask_server
from installation import COMMAND
from intercept.tags import HEADER

SETTLED_SECONDS: Final = 1.5
"""How long after the agent the bridge is asked: a call is found about a second after its end."""

_GEMINI_HOME: Final = "GEMINI_CLI_HOME"
_SIGNALLED: Final = 128


class Launch(NamedTuple):
    """How an agent is started: further arguments, variables that are set or taken away, and a home of its own.

    `home` are the variable that names it, the user's folder that it has too, and the content of `settings.json` in that.
    """

    arguments: Sequence[str] = ()
    environ: Mapping[str, str] = {}
    without: Sequence[str] = ()
    home: tuple[str, Path, Mapping[str, Any]] | None = None


class CodingAgent(NamedTuple):
    """The usual name of an agent's provider, and what starts it with a base URL, a token and tags."""

    provider: str
    prepare: Callable[[str, str, str], Launch]


def _claude(base: str, token: str, tags: str) -> Launch:
    headers = "\n".join(filter(None, (os.environ.get("ANTHROPIC_CUSTOM_HEADERS"), f"{HEADER}: {tags}")))
    clouds = [f"CLAUDE_CODE_USE_{cloud}" for cloud in ("BEDROCK", "VERTEX", "FOUNDRY", "MANTLE")]
    environ = {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_AUTH_TOKEN": token, "ANTHROPIC_CUSTOM_HEADERS": headers}
    return Launch((), environ, ("ANTHROPIC_API_KEY", *clouds))


def _codex(base: str, token: str, tags: str) -> Launch:
    provider = {
        "name": json.dumps("AI Bridge"),
        "base_url": json.dumps(f"{base}/v1"),
        "env_key": json.dumps(TOKEN_VARIABLE),
        "wire_api": json.dumps("responses"),
        "http_headers": f"{{ {json.dumps(HEADER)} = {json.dumps(tags)} }}",
    }
    table = ", ".join(f"{name} = {value}" for name, value in provider.items())
    chosen = ('model_provider="aibridge"', f"model_providers.aibridge={{ {table} }}")
    return Launch([part for one in chosen for part in ("-c", one)], {TOKEN_VARIABLE: token})


def _gemini(base: str, token: str, tags: str) -> Launch:
    headers = ", ".join(filter(None, (os.environ.get("GEMINI_CLI_CUSTOM_HEADERS"), f"{HEADER}: {tags}")))
    environ = {"GOOGLE_GEMINI_BASE_URL": base, "GEMINI_API_KEY": token, "GEMINI_CLI_CUSTOM_HEADERS": headers}
    folder = Path(os.environ.get(_GEMINI_HOME) or Path.home()) / ".gemini"
    file = folder / "settings.json"
    try:
        settings = json.loads(file.read_text()) if file.exists() else {}
        security = settings.get("security", {})
        auth = security.get("auth", {}) | {"selectedType": "gemini-api-key"}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise click.ClickException(f"{file} cannot be read as settings of Gemini CLI") from error
    content = settings | {"security": security | {"auth": auth}}
    return Launch((), environ, ("GOOGLE_API_KEY",), (_GEMINI_HOME, folder, content))


def _opencode(base: str, token: str, tags: str) -> Launch:
    options = {"baseURL": f"{base}/v1", "apiKey": f"{{env:{TOKEN_VARIABLE}}}", "headers": {HEADER: tags}}
    config = {"provider": {"anthropic": {"options": options}}}
    return Launch((), {TOKEN_VARIABLE: token, "OPENCODE_CONFIG_CONTENT": json.dumps(config)})


AGENTS: Final[Mapping[str, CodingAgent]] = {
    "claude": CodingAgent("anthropic", _claude),
    "codex": CodingAgent("openai", _codex),
    "gemini": CodingAgent("gemini", _gemini),
    "opencode": CodingAgent("anthropic", _opencode),
}
"""Each agent by its name, which is that of its program."""


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--url", metavar="URL", help="The address of the bridge; default: the only one that you signed in to.")
@click.option("--provider", metavar="NAME", help="The provider of the bridge; default: anthropic, openai or gemini.")
@click.option("--print", "prints", is_flag=True, help="Print what would be set, for a shell, and start nothing.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser to sign in.")
@click.argument("agent", type=click.Choice([*AGENTS]))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    url: str | None,
    provider: str | None,
    prints: bool,
    no_browser: bool,
    agent: str,
    arguments: tuple[str, ...],
) -> None:
    """Start an agent that calls the bridge, and say afterwards what that cost.

    ARGUMENTS are for the agent. Nothing is kept of what is set for it. It signs in first, in a browser, if no token is kept.
    """
    arguments = arguments[arguments[:1] == ("--",) :]
    started, made = AGENTS[agent], f"run={uuid4().hex[:12]}"
    address = checked_url(url) if url else kept_address()
    base = f"{address}/api/v2/aibridge/{provider or started.provider}"
    if prints:
        token = f"$({COMMAND} login --print-token {address})"
        click.echo("\n".join(_shell(agent, started.prepare(base, token, made), token, arguments)))
        return
    program = shutil.which(agent)
    if program is None:
        raise click.ClickException(f"there is no program {agent} on this machine: install it first")
    token = os.environ.get(TOKEN_VARIABLE) or _token(address, browser=not no_browser)
    began = time.time()
    status = _start(program, started.prepare(base, token, made), arguments)
    time.sleep(SETTLED_SECONDS)
    with _told():
        click.echo(_sum(address, made, began), err=True)
    context.exit(status if status >= 0 else _SIGNALLED - status)


def _token(address: str, *, browser: bool) -> str:
    """The token that is kept, else one by signing in."""
    try:
        return kept_token(address)
    except click.ClickException:
        sign_in(address, browser=browser)
        return kept_token(address)


def _shell(program: str, launch: Launch, token: str, arguments: Sequence[str]) -> Iterator[str]:
    """What starts the agent in a shell. The token is fetched when it is run."""
    if launch.without:
        yield f"unset {' '.join(launch.without)}"
    for name, value in launch.environ.items():
        yield f"export {name}=" + (f'"{token}"' if value == token else shlex.quote(value))
    if launch.home is not None:
        name, own, content = launch.home
        yield f"export {name}=FOLDER  # with {own.name}/settings.json: {json.dumps(content)}"
    yield shlex.join([program, *launch.arguments, *arguments])


def _start(program: str, launch: Launch, arguments: Sequence[str]) -> int:
    """Run an agent to its end, in this terminal. What ends this process is passed on to it."""
    environ = {name: value for name, value in os.environ.items() if name not in launch.without}
    with TemporaryDirectory(prefix="aibridge-run-") as folder:
        if launch.home is not None:
            name, own, content = launch.home
            _make_home(Path(folder), own, content)
            environ[name] = folder
        command = [program, *launch.arguments, *arguments]
        process = subprocess.Popen(command, env={**environ, **launch.environ})  # noqa: S603 - what the user asked for
        # The terminal sends an interruption to the agent, too, which decides what becomes of it.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


def _make_home(home: Path, own: Path, content: Mapping[str, Any]) -> None:
    """Make a folder like the user's own, of links into it, but with other settings."""
    made = home / own.name
    made.mkdir()
    (made / "settings.json").write_text(json.dumps(content))
    own.mkdir(exist_ok=True)
    for one in own.iterdir():
        if one.name != "settings.json":
            (made / one.name).symlink_to(one)


@contextmanager
def _told() -> Iterator[None]:
    """Say what fails, and let the agent's exit status stay."""
    try:
        yield
    except click.ClickException as error:
        click.echo(f"What it came to cannot be asked: {error.format_message()}", err=True)


def _sum(address: str, made: str, began: float) -> str:
    """What the calls of an agent came to, in a line."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))
    search = f"tag:{made}"
    total = ask_server(address, None, BY_NAME["get_statistics"], {}, {"q": search, "range": "7d"})["total"]
    refused = ask_server(
        address, None, BY_NAME["list_refusals"], {}, {"q": f'user:me started_after:"{since}"', "limit": "1"}
    )
    calls, cost = total["interceptions"], total["cost_usd"]
    said = [f"{calls} call{'' if calls == 1 else 's'}", "no known cost" if cost is None else f"US${cost:.4f}"]
    return f"{', '.join(said)}, {refused['count']} refused: {address}/#/calls?q={search}"
