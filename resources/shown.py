"""How the API shows what is stored: without what is hidden, and times and exact amounts as text. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_args

from msgspec import UNSET, Meta, Struct, structs

from intercept.times import format_time
from storage.mongo.documents.stored import HIDDEN, Stored


def shown(value: Any) -> Any:
    """Return what JSON has of an answer. What has nothing that is stored stays as it is."""
    match value:
        case Struct() if fields := _fields_to_show(type(value)):
            found = ((name, getattr(value, field)) for field, name in fields.items())
            return {name: shown(one) for name, one in found if one is not UNSET}
        case list() | tuple():
            return [shown(one) for one in value]
        case dict():
            return {key: shown(one) for key, one in value.items()}
        case datetime():
            return format_time(value)
        case Decimal():
            return f"{value:f}"
        case _:
            return value


@cache
def shown_fields(kind: type[Struct]) -> dict[str, str]:
    """The fields that are shown, with the names that they have in JSON."""
    return {one.name: one.encode_name for one in structs.fields(kind) if not _is_hidden(one.type)}


@cache
def _fields_to_show(kind: type[Struct]) -> dict[str, str]:
    """The fields to show of a struct that is stored, or may have such a one in a field; none of any other."""
    may_have = issubclass(kind, Stored) or any(_may_have_stored(one.type) for one in structs.fields(kind))
    return shown_fields(kind) if may_have else {}


def _may_have_stored(kind: Any) -> bool:
    if isinstance(kind, TypeVar):
        return True
    if isinstance(kind, type) and issubclass(kind, Struct):
        return bool(_fields_to_show(kind))
    return any(map(_may_have_stored, get_args(kind)))


def _is_hidden(kind: Any) -> bool:
    notes = [one for one in get_args(kind) if isinstance(one, Meta)]
    return any(HIDDEN in (one.extra_json_schema or {}) for one in notes)
