"""`prices`: own prices, where they differ from list prices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO

import click
from msgspec import UNSET

from commands.command import Read, command, now, run
from commands.output import format_time, json_option, show
from resources.bodies import InvalidBodyError
from resources.money.prices import PriceBody, PriceListBody, read_day_or_time, read_usd
from resources.ranges import NOT_AFTER, Problems
from storage.costs.own_prices import OwnPrice
from storage.mongo.database import Database
from storage.prices.store import PriceStore

USD = Read("USD", read_usd)
TIME = Read("TIME", read_day_or_time)


def refuse_range(problems: Problems) -> None:
    """Say what is wrong with --from and --to, if anything is."""
    for name, rule in problems:
        raise click.UsageError(f"--{name} {rule.replace(NOT_AFTER, 'must be after --from')}")


@click.group()
def prices() -> None:
    """Show and set own prices, which come before list prices."""


@command(prices, "list")
@json_option
def list_prices(as_json: bool) -> None:
    """List the own prices, in US dollars for a million tokens."""
    kept = run(lambda database: _store(database).read())
    rows = [
        (
            *(one.provider, one.model, format_time(one.valid_from, ""), f"{one.input:f}", f"{one.output:f}"),
            *("" if usd is UNSET else f"{usd:f}" for usd in (one.cache_read, one.cache_write, one.cache_write_1h)),
        )
        for one in kept.prices
    ]
    headings = ("PROVIDER", "MODEL", "VALID FROM", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "CACHE WRITE 1H")
    show(kept.prices, headings, rows, as_json)


@command(prices, "set")
@click.argument("file", type=click.File("rb"))
def set_prices(file: BinaryIO) -> None:
    """Replace all own prices by those in FILE; - is the standard input.

    FILE is JSON: {"prices": [..]}, or an array, as `prices list --json` prints it.
    """
    data = file.read()
    if data.lstrip().startswith(b"["):
        data = b'{"prices":' + data + b"}"
    try:
        given = PriceListBody.read(data)
    except InvalidBodyError as error:
        said = "; ".join(f"{field}: {rule}" for field, rule in error.problems) or "it must be a JSON object"
        raise click.ClickException(f"nothing was changed: {said}") from error
    kept = run(lambda database: _store(database).change(lambda _: given))
    click.echo(f"There are {len(kept.prices)} own prices.")


@command(prices, "add")
@click.argument("provider")
@click.argument("model")
@click.option("--input", "input_", type=USD, required=True, help="US dollars for a million tokens of input.")
@click.option("--output", type=USD, required=True, help="US dollars for a million tokens of output.")
@click.option(
    "--cache-read", type=USD, help="US dollars for a million tokens of input read from a cache; default: as --input."
)
@click.option(
    "--cache-write", type=USD, help="US dollars for a million tokens of input written to a cache; default: as --input."
)
@click.option(
    "--cache-write-1h",
    type=USD,
    help="The same for tokens that stay in the cache for an hour; default: as --cache-write.",
)
@click.option("--valid-from", type=TIME, help="A day, or a timestamp (RFC 3339), in UTC; default: now.")
def add_price(
    *,
    provider: str,
    model: str,
    input_: Decimal,
    output: Decimal,
    cache_read: Decimal | None,
    cache_write: Decimal | None,
    cache_write_1h: Decimal | None,
    valid_from: datetime | None,
) -> None:
    """Add a price for the models MODEL of the providers PROVIDER; * in either matches any text.

    A price with the same PROVIDER, MODEL and time is replaced.
    """
    named = _named(provider, model)
    at = (valid_from or now()).replace(microsecond=0)
    cached = (UNSET if usd is None else usd for usd in (cache_read, cache_write, cache_write_1h))
    price = OwnPrice(named.provider, named.model, at, input_, output, *cached)

    def make(before: tuple[OwnPrice, ...]) -> list[OwnPrice]:
        return [*[one for one in before if one.key != price.key], price]

    run(lambda database: _store(database).change(make))
    click.echo(f"Added: {price}.")


@command(prices, "remove")
@click.argument("provider")
@click.argument("model")
@click.option(
    "--valid-from", type=TIME, help="Only the price that is valid from this time; default: all with these patterns."
)
def remove_prices(provider: str, model: str, valid_from: datetime | None) -> None:
    """Remove the prices with exactly these patterns."""
    wanted = provider.lower(), model.lower()
    removed: list[OwnPrice] = []

    def make(before: tuple[OwnPrice, ...]) -> list[OwnPrice]:
        removed[:] = [one for one in before if one.key[:2] == wanted and valid_from in (None, one.valid_from)]
        return [one for one in before if one not in removed]

    run(lambda database: _store(database).change(make))
    if not removed:
        raise click.ClickException("there is no such price; `prices list` shows all")
    for price in removed:
        click.echo(f"Removed: {price}.")


def _store(database: Database) -> PriceStore:
    return PriceStore(database, now=now)


def _named(provider: str, model: str) -> Any:
    """Check the patterns of a price."""
    given = {"provider": provider, "model": model, "input": 0, "output": 0, "valid_from": "2026-01-01"}
    try:
        return PriceBody.of(given)
    except InvalidBodyError as error:
        field, rule = error.problems[0]
        raise click.UsageError(f"{field.upper()} {rule}") from error
