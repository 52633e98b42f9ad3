"""Policies as they are sent: read, changed and checked, with words for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, ValidationError

from limits.policies.policy import AnyPolicy

P = TypeVar("P", bound=Struct)

NO_OBJECT: Final = "must be a JSON object"
_WHERE: Final = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)
_INNER: Final = re.compile(
    r"((?:allow|deny)(?:\[[0-9]+\])?|patterns(?:\[[0-9]+\])?|provider|model|window|usd): (.*)", re.DOTALL
)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


class InvalidPolicyError(ValueError):
    """It is no policy.

    Attributes:
        field: Which field is wrong, such as `limits.together.rate.window`; empty where it is no object at all.
        rule: What a value must be.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule)
        self.field = field
        self.rule = rule


def read_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InvalidPolicyError: It is none.
    """
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPolicyError("", NO_OBJECT) from error


def read_policy(fields: Mapping[str, Any], kind: type[P]) -> P:
    """Make a policy of its fields, or what has a part of one.

    Raises:
        InvalidPolicyError: A field is unknown or missing, or has a value that is not allowed.
    """
    try:
        return msgspec.convert(fields, kind)
    except ValidationError as error:
        raise _explain(str(error)) from error


def merge(fields: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Change what is given, and take away what is null, at any depth (RFC 7396)."""
    merged = dict(fields)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            inner = merged.get(name)
            merged[name] = merge(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def fields_of(policy: AnyPolicy) -> dict[str, Any]:
    """The fields of a policy as JSON has them."""
    fields: dict[str, Any] = msgspec.to_builtins(policy)
    return fields


def _explain(text: str) -> InvalidPolicyError:
    """Take apart what msgspec says: `RULE - at `$.path``."""
    match = _WHERE.fullmatch(text)
    rule, path = (match[1], match[2].removeprefix(".")) if match else (text, "")
    if inner := _UNKNOWN.fullmatch(rule):
        path, rule = _join(path, inner[1]), "unknown field"
    elif inner := _MISSING.fullmatch(rule):
        path, rule = _join(path, inner[1]), "is required"
    elif inner := _INNER.fullmatch(rule):
        path, rule = _join(path, inner[1]), inner[2]
    return InvalidPolicyError(path, rule)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
