"""How lists are paged: `limit` and either `offset` or the id behind which a page begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar
from uuid import UUID

from handlers.problems import ValidationProblem

T = TypeVar("T")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
# MongoDB takes no larger skip than this.
MAX_OFFSET = 2**31 - 1
INVALID = "Query parameters have invalid values."


class Page(NamedTuple):
    """The requested rows of a list."""

    limit: int = DEFAULT_LIMIT
    after_id: UUID | None = None
    offset: int = 0


def single_values(arguments: Mapping[str, list[bytes]], allowed: Collection[str]) -> dict[str, str]:
    """Each query parameter once, as text.

    Raises:
        ValidationProblem: an unknown parameter, one given twice, or text that is not UTF-8.
    """
    values: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for name, given in arguments.items():
        if name not in allowed:
            problems.append((name, f"unknown query parameter; allowed are {', '.join(sorted(allowed)) or 'none'}"))
        elif len(given) > 1:
            problems.append((name, "may be given only once"))
        else:
            try:
                values[name] = given[0].decode()
            except UnicodeDecodeError:
                problems.append((name, "is not UTF-8 text"))
    if problems:
        raise ValidationProblem(INVALID, validations=problems)
    return values


def parse_page(values: Mapping[str, str], after: str = "after_id") -> Page:
    """Read the requested page; an empty value counts as not given. `after` names the parameter of the id.

    Raises:
        ValidationProblem: both cursors at once, or a value out of range.
    """
    if values.get(after) and values.get("offset"):
        raise ValidationProblem(INVALID, f"Cannot use both {after} and offset pagination in the same request.")
    return Page(limit_of(values, MAX_LIMIT, DEFAULT_LIMIT), uuid_of(values, after), offset_of(values))


def limit_of(values: Mapping[str, str], highest: int, usual: T) -> int | T:
    """Read `limit`; `usual` where it is not given.

    Raises:
        ValidationProblem: it is no whole number, or out of range.
    """
    return _whole_number(values, "limit", 1, highest, f"(0, {highest}]") if values.get("limit") else usual


def offset_of(values: Mapping[str, str]) -> int:
    """Read `offset`; raises as `limit_of`."""
    return _whole_number(values, "offset", 0, MAX_OFFSET, f"[0, {MAX_OFFSET}]") if values.get("offset") else 0


def _whole_number(values: Mapping[str, str], name: str, lowest: int, highest: int, allowed: str) -> int:
    text = values[name]
    max_digits = len(str(highest))
    if text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= max_digits and lowest <= int(text) <= highest:
        return int(text)
    raise ValidationProblem(f"Invalid pagination {name} value.", f"Pagination {name} must be in range {allowed}")


def uuid_of(values: Mapping[str, str], name: str) -> UUID | None:
    """Read the id of something; None where it is not given.

    Raises:
        ValidationProblem: it is not a UUID.
    """
    try:
        return UUID(text) if (text := values.get(name)) else None
    except ValueError as error:
        raise ValidationProblem(INVALID, validations=[(name, "must be a UUID")]) from error
