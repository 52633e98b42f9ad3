"""Exports of costs as CSV files: of Azure Cost Management and of AWS, each as it is and by FOCUS.

Sources: Azure, "Understand cost details fields"; AWS, "Cost and Usage Report" and "Data Exports", the columns of CUR
2.0; FinOps Open Cost and Usage Specification, versions 1.0 to 1.3. Meters have no model of their own: its name is read
out of theirs.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Final

from upstream.reports.reported import STANDARD, Reported, ReportedTokens, ReportError

SERVICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"azure": ("openai", "cognitive services", "foundry"), "bedrock": ("bedrock",)}
)
"""By provider: words in the name of a service whose lines count."""

_COLUMNS: Final = MappingProxyType(
    {
        "day": ("chargeperiodstart", "lineitemusagestartdate", "usagedatetime", "usagedate", "date"),
        "meter": ("lineitemusagetype", "skumeter", "xskumetername", "metername"),
        "service": ("servicename", "productservicecode", "lineitemproductcode", "metercategory", "consumedservice"),
        "product": ("productproductname", "productname", "xskudescription"),
        "quantity": ("lineitemusageamount", "consumedquantity", "usagequantity", "quantity"),
        "unit": ("pricingunit", "consumedunit", "unitofmeasure"),
        "cost": ("lineitemunblendedcost", "billedcost", "costinusd", "costinbillingcurrency", "pretaxcost"),
        "list": ("pricingpublicondemandcost", "listcost", "paygcostinusd"),
        "currency": ("lineitemcurrencycode", "billingcurrency", "billingcurrencycode", "currency"),
    }
)
"""What is read, and how a column with it may be called, in lower case without anything but letters and digits."""

_NEEDED: Final = ("day", "meter", "cost")
_IN_DOLLARS: Final = "costinusd"
_UNIT: Final = re.compile(r"(?<![\d.])(\d+)?\s*([KM])?\s*tokens?\b", re.IGNORECASE)
_BARE_UNIT: Final = re.compile(r"(\d+)\s*([KM])?", re.IGNORECASE)
_SCALES: Final = MappingProxyType({"": 1, "K": 1_000, "M": 1_000_000})
_REGION: Final = re.compile(r"^[A-Z]{2,4}\d-")
_MONTH_AND_DAY: Final = re.compile(r"\b(?:0[1-9]|1[0-2])[0-3]\d\b")
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_LETTERS: Final = re.compile(r"[A-Za-z]+|\d+")
_CACHE: Final = frozenset({"cache", "cached", "cchd", "cd"})
_OUTPUT: Final = frozenset({"output", "outp", "out", "opt"})
_INPUT: Final = frozenset({"input", "inp", "in"})
_TIERS: Final = frozenset({"batch", "priority", "flex", "provisioned"})
_NOISE: Final = _CACHE | _OUTPUT | _INPUT | _TIERS | {
    *("read", "write", "token", "tokens", "count", "units", "cross", "region", "global", "glbl", "gl", "regional", "regnl"),
    *("data", "zone", "dz", "dzone", "geo", "k", "m", "million"),
}  # fmt: skip


def read_exports(provider: str, paths: Iterable[Path], start: date, end: date) -> list[Reported]:
    """Read the lines of the days in [start, end) that are about a provider's models.

    Raises:
        ReportError: A file cannot be read, or is no such export.
    """
    found: list[Reported] = []
    for path in paths:
        try:
            text = _text(path)
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text, or damaged"
            raise ReportError(f"{path}: {reason}; give an export as CSV, or that packed with gzip") from error
        try:
            found += (one for one in parse_export(provider, text) if start <= one.day < end)
        except ReportError as error:
            raise ReportError(f"{path}: {error}") from error
    return found


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")


def parse_export(provider: str, text: str) -> Iterator[Reported]:
    """Read the lines that are about a provider's models.

    Raises:
        ReportError: The text is no such export; it names the line.
    """
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        names = [re.sub("[^a-z0-9]", "", name.lower()) for name in next(rows, [])]
        columns = {what: names.index(one) for what, called in _COLUMNS.items() for one in called[::-1] if one in names}
        if missing := [what for what in _NEEDED if what not in columns]:
            raise ReportError(f"no column for {', '.join(missing)}; is it an export of costs as CSV?")
        in_dollars = names[columns["cost"]] == _IN_DOLLARS
        for number, cells in enumerate(rows, 2):
            if cells and (one := _line(provider, columns, cells, number, in_dollars=in_dollars)) is not None:
                yield one
    except csv.Error as error:
        raise ReportError(f"line {rows.line_num}: {error}") from error


def _line(
    provider: str, columns: Mapping[str, int], cells: list[str], number: int, *, in_dollars: bool
) -> Reported | None:
    def cell(what: str) -> str:
        at = columns.get(what, -1)
        return cells[at].strip() if 0 <= at < len(cells) else ""

    meter, product = cell("meter"), cell("product")
    about = f"{cell('service')} {product}".lower()
    if not any(word in about for word in SERVICES[provider]) and (about.strip() or "token" not in meter.lower()):
        return None
    if not in_dollars and (currency := cell("currency")) and currency.upper() != "USD":
        raise ReportError(f"line {number}: the cost is in {currency[:9]!r}; only US dollars are compared")
    usd = _number(cell("cost") or "0", number)
    words = [word.lower() for word in _WORDS.findall(_REGION.sub("", meter))]
    has_model = "edition)" in product.lower()  # of a marketplace, where the product is the model
    text = product.partition("(")[0] if has_model else _MONTH_AND_DAY.sub("", _REGION.sub("", _UNIT.sub("", meter)))
    name = [word for one in _LETTERS.findall(text) if (word := one.lower()) not in _NOISE]
    tokens = _tokens(words, cell("quantity"), _scale(cell("unit"), meter), number)
    listed = cell("list")
    return Reported(
        _day(cell("day"), number),
        "-".join(name) or meter or product,
        tokens,
        usd,
        _number(listed, number) if listed else None,
        next((word for word in words if word in _TIERS), STANDARD),
    )


def _scale(unit: str, meter: str) -> int:
    """How many tokens one unit is; 0 where that is not said."""
    found = _UNIT.search(unit)
    if found is None and "token" in meter.lower():
        found = _BARE_UNIT.fullmatch(unit) or _UNIT.search(meter)
    return 0 if found is None else int(found[1] or 1) * _SCALES[(found[2] or "").upper()]


def _tokens(words: list[str], quantity: str, scale: int, number: int) -> ReportedTokens | None:
    """The tokens of a line; None where it is not about tokens."""
    if not scale or not quantity:
        return None
    count = round(_number(quantity, number) * scale)
    known = set(words)
    if known & _CACHE:
        return (
            ReportedTokens(cache_write_input_tokens=count)
            if "write" in known
            else ReportedTokens(cache_read_input_tokens=count)
        )
    if known & _OUTPUT:
        return ReportedTokens(output_tokens=count)
    return ReportedTokens(input_tokens=count) if known & _INPUT else None


def _number(text: str, number: int) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ReportError(f"line {number}: {text[:20]!r} is no number")
    return value


def _day(text: str, number: int) -> date:
    try:
        if "/" in text:
            return datetime.strptime(text[:10], "%m/%d/%Y").replace(tzinfo=UTC).date()
        return date.fromisoformat(text[:10])
    except ValueError:
        raise ReportError(f"line {number}: {text[:20]!r} is no day") from None
