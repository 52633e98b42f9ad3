"""Reads, changes and checks policies from JSON, with plain messages for errors, and warnings of what may not be intended."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from enum import EnumType
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Struct, ValidationError

from intercept.recording import KINDS, Keep
from limits.policies.compiled import unknown_providers
from limits.policies.policy import NOT_MONEY, AnyPolicy, Concurrency, PolicyLimits, SharedLimits

P = TypeVar("P", bound=Struct)

_WHERE: Final = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)
_INNER: Final = re.compile(
    r"((?:allow|deny)(?:\[[0-9]+\])?|patterns(?:\[[0-9]+\])?|provider|model|window|usd|managed_settings): (.*)",
    re.DOTALL,
)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`(?: (>=|<=) (-?[0-9]+)|, got `[^`]*`)")
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "int": "a whole number",
        "float": "a number",
        "str": "text",
        "bool": "true or false",
        "object": "a JSON object",
        "array": "an array",
    }
)
_BOUNDS: Final[Mapping[str, str]] = MappingProxyType({">=": ", {:,} or more", "<=": ", {:,} at most"})
_NO_WORD: Final = "Invalid enum value "
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


def read_policy(fields: Mapping[str, Any], kind: type[P]) -> P:
    """Make a policy of its fields, or what has a part of one.

    Raises:
        InvalidPolicyError: A field is unknown or missing, or has a value that is not allowed.
    """
    try:
        return msgspec.convert(fields, kind)
    except ValidationError as error:
        raise _explain(str(error), kind) from error


def merge(fields: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7396)."""
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


def _explain(text: str, kind: type[Struct]) -> InvalidPolicyError:
    """Take apart what msgspec says: `RULE - at `$.path``."""
    match = _WHERE.fullmatch(text)
    rule, path = (match[1], match[2].removeprefix(".")) if match else (text, "")
    if inner := _UNKNOWN.fullmatch(rule):
        allowed = ", ".join(_names_at(kind, path))
        path, rule = _join(path, inner[1]), f"unknown field; allowed are {allowed}" if allowed else "unknown field"
    elif rule.startswith(_NO_WORD):
        rule = f"must be one of {', '.join(_values_at(kind, path))}"
    elif inner := _MISSING.fullmatch(rule):
        path, rule = _join(path, inner[1]), "is required"
    elif inner := _INNER.fullmatch(rule):
        path, rule = _join(path, inner[1]), inner[2]
    if path.endswith(".usd") and rule.startswith("Expected "):
        rule = NOT_MONEY  # it may be of several types, of which only one is told
    return InvalidPolicyError(path, _plain(rule))


def _plain(rule: str) -> str:
    """What msgspec expects of a value, in plain words."""
    match = _EXPECTED.fullmatch(rule)
    if match is None:
        return rule
    types = " or ".join(_TYPES.get(name, name) for name in match[1].split(" | "))
    return f"must be {types}{_BOUNDS[match[2]].format(int(match[3])) if match[2] else ''}"


def _names_at(kind: type[Struct], path: str) -> tuple[str, ...]:
    """The fields that an object at a path may have; none where that is not one kind of object."""
    found = [one for one in _types_at(kind, path) if isinstance(one, type) and issubclass(one, Struct)]
    return found[0].__struct_fields__ if len(found) == 1 else ()


def _values_at(kind: type[Struct], path: str) -> list[str]:
    """The words that a value at a path may be."""
    types = _types_at(kind, path)
    enums: list[str] = [one.value for found in types if isinstance(found, EnumType) for one in list[Any](found)]
    return [one for one in types if isinstance(one, str)] + enums


def _types_at(kind: type[Struct], path: str) -> list[Any]:
    """The types that a value at a path may have, words of a `Literal` as they are."""
    types: list[Any] = [kind]
    for name in path.split(".") if path else ():
        hints = [get_type_hints(one) for one in types if isinstance(one, type) and issubclass(one, Struct)]
        types = [one for hint in hints if name in hint for one in _flat(hint[name])]
    return types


def _flat(hint: Any) -> list[Any]:
    """The types of a union, or the only one."""
    return [one for part in get_args(hint) for one in _flat(part)] or [hint]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


NO_BUDGET: Final = "0 refuses every call that the bridge would pay for"
NEEDS_KEY: Final = "a server without encryption-keys keeps nothing instead of a hash"
NO_PROVIDER: Final = "it matches nothing, unless a server has a provider of this name; known here are {}"
NOTHING_ADMITTED: Final = "0 refuses every call"


def notes_on(policy: AnyPolicy, providers: Collection[str] | None = None) -> list[str]:
    """What is to be said: which limits refuse everything, as in `limits.together.budget: 0 refuses ..`, what needs keys.

    With `providers`, the names of those that are known where not all need be, also which patterns mean none of them.
    """
    return list(_notes(policy, providers))


def _notes(policy: AnyPolicy, providers: Collection[str] | None) -> Iterator[str]:
    limits, recording = policy.limits, policy.recording
    if policy.models is not UNSET and providers is not None:
        said = NO_PROVIDER.format(", ".join(sorted(providers)))
        yield from (f"models.{field}: {said}" for field in unknown_providers(policy.models, providers))
    if isinstance(limits, SharedLimits):
        parts = [("limits.each_member", limits.each_member), ("limits.together", limits.together)]
    else:
        parts = [("limits", limits)]
    for name, part in parts:
        if part is not UNSET:
            yield from (f"{name}.{note}" for note in _notes_on_limits(part))
    if recording is not UNSET:
        yield from (f"recording.{name}: {NEEDS_KEY}" for name in KINDS if getattr(recording, name) is Keep.HASHED)


def _notes_on_limits(limits: PolicyLimits) -> Iterator[str]:
    slots = limits.concurrency
    if slots is not UNSET and (slots.requests if isinstance(slots, Concurrency) else slots) == 0:
        yield f"concurrency: {NOTHING_ADMITTED}"
    if limits.rate is not UNSET and not limits.rate.requests:
        yield f"rate.requests: {NOTHING_ADMITTED}"
    if limits.tokens is not UNSET and not limits.tokens.count:
        yield f"tokens.count: {NOTHING_ADMITTED}"
    if limits.budget is not UNSET and not limits.budget.micro_dollars:
        yield f"budget.usd: {NO_BUDGET}"
