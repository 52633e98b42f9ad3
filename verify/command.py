"""The command line of `verify`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from verify.checks import CHECKS
from verify.report import Outcome, Result, run_checks, summary
from verify.target import FailedError, find_target
from verify.wire import Address, BrokenOffError, UnreachableError

TOKEN_VARIABLE = "AIBRIDGE_TOKEN"  # noqa: S105 - its name
NO_TOKEN = f"set {TOKEN_VARIABLE} to a token of the bridge, or give --token-file"


class CannotAskError(click.ClickException):
    """The bridge cannot be asked. The text says why."""

    exit_code = 2


@click.command("verify")
@click.argument("url", default="http://127.0.0.1:4001")
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="A file that holds the token.")
@click.option("--provider", help="Provider to call; default: the demo provider, else the first one.")
@click.option(
    "--model", help="Model to call there. Calls cost money, so without a model only the demo provider is called."
)
@click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
def verify(url: str, token_file: Path | None, provider: str | None, model: str | None, as_json: bool) -> None:
    """Check that the bridge at URL keeps what it promises.

    The token is read from the variable AIBRIDGE_TOKEN or from a file. Exit code 0: nothing failed, 1: something did, 2: the
    bridge could not be asked.
    """
    try:
        address, token = Address.parse(url), _token(token_file)
        results = asyncio.run(_verify(address, token, provider, model, as_json))
    except (UnreachableError, BrokenOffError, FailedError, ValueError, OSError) as error:
        raise CannotAskError(str(error)) from error
    click.echo(summary(results, as_json=as_json))
    if any(result.outcome is Outcome.FAILED for result in results):
        raise SystemExit(1)


async def _verify(address: Address, token: str, provider: str | None, model: str | None, as_json: bool) -> list[Result]:
    return await run_checks(CHECKS, await find_target(address, token, provider, model), as_json=as_json)


def _token(file: Path | None) -> str:
    token = file.read_text().strip() if file else os.environ.get(TOKEN_VARIABLE, "")
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError(NO_TOKEN)
    return token
