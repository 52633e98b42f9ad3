"""How lists are paged: `limit` and either `offset` or the id behind which a page begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from handlers.problems import ValidationProblem

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
# MongoDB takes no larger skip than this.
MAX_OFFSET = 2**31 - 1
INVALID = "Query parameters have invalid values."


@dataclass(frozen=True)
class Page:
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
    after_id, offset, limit = values.get(after), values.get("offset"), values.get("limit")
    if after_id and offset:
        raise ValidationProblem(INVALID, f"Cannot use both {after} and offset pagination in the same request.")
    return Page(
        limit=whole_number(limit, 1, MAX_LIMIT, "limit", f"Pagination limit must be in range (0, {MAX_LIMIT}]")
        if limit
        else DEFAULT_LIMIT,
        after_id=uuid_of(after_id, after) if after_id else None,
        offset=whole_number(offset, 0, MAX_OFFSET, "offset", f"Pagination offset must be in range [0, {MAX_OFFSET}]")
        if offset
        else 0,
    )


def whole_number(text: str, lowest: int, highest: int, name: str, allowed: str) -> int:
    """Read a whole number.

    Raises:
        ValidationProblem: it is none, or out of range; `allowed` says what is.
    """
    max_digits = len(str(highest))
    if text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= max_digits and lowest <= int(text) <= highest:
        return int(text)
    raise ValidationProblem(f"Invalid pagination {name} value.", allowed)


def uuid_of(text: str, name: str = "after_id") -> UUID:
    """Read the id of something.

    Raises:
        ValidationProblem: it is not a UUID.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise ValidationProblem(INVALID, validations=[(name, "must be a UUID")]) from error
