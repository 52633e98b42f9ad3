"""What `/openapi.json` says of operations, all of it from their declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Meta, structs

from handlers.openapi.parts import (
    ETAG,
    IF_MATCH,
    JSON,
    Described,
    header,
    in_path,
    problem,
    query,
    response,
    shared,
)
from handlers.operations.long_response import LINES
from handlers.operations.operation import EVERYONE, NOTE_HEADER, Download, Noted, Operation, Tagged, by_path
from resources.bodies import Readers

# The errors of every operation, and of those with a body.
_ALWAYS = {
    "401": shared("Unauthorized"),
    "429": shared("TooManyRequests"),
    "500": shared("InternalError"),
    "503": shared("Unavailable"),
}
_OF_BODY = {
    "400": shared("InvalidBody"),
    "408": shared("LateBody"),
    "413": shared("BodyTooLarge"),
    "415": shared("BodyNotJSON"),
}
_META = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz", "extra_json_schema")


def paths(operations: Iterable[Operation]) -> dict[str, Described]:
    """The paths of the document with their methods."""
    found: dict[str, Described] = {}
    for methods in by_path(operations).values():
        for one in methods.values():
            found.setdefault(one.address, {})[one.method.lower()] = _described(one)
    return found


def _described(operation: Operation) -> Described:
    summary, text = operation.text
    described: Described = {
        "operationId": re.sub(r"_(\w)", lambda found: found[1].upper(), operation.function.__name__),
        "tags": [operation.tag or operation.path.partition("/")[0]],
        "summary": summary,
        "description": f"{text} {_for_whom(operation)}".strip(),
        "parameters": [
            *(in_path(name, *_parted(kind)[:2]) for name, kind in operation.path_parameters.items()),
            *(_in_query(one, operation.query.readers) for one in structs.fields(operation.query)),
            *([IF_MATCH] if "versions" in operation.hints else []),
        ],
        "responses": dict(sorted(_responses(operation).items())),
    }
    if operation.body is not None:
        content: Described = {"schema": operation.body[0]}
        if operation.example is not None:
            content["examples"] = {"example": {"value": operation.example}}
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    return described


def _for_whom(operation: Operation) -> str:
    if operation.who.roles == EVERYONE.roles:
        return ""
    return f"For {operation.who.plural}" + ("; for others their own." if operation.own else ".")


def _responses(operation: Operation) -> dict[str, Described]:
    """The answer, and the errors that follow from what is declared."""
    found = dict(_ALWAYS if operation.body is None else _ALWAYS | _OF_BODY)
    if operation.is_reading:
        found["400"] = shared("InvalidQuery")
    if operation.refusals:
        found["403"] = problem(" ".join(operation.refusals))
    if operation.path_parameters:
        found["404"] = shared("NotFound")
    if "versions" in operation.hints:
        found["412"] = shared("ChangedMeanwhile")
    found |= {str(status): problem(why) for status, why in operation.raises.items()}
    kind, around = operation.answer
    headers = dict(ETAG) if around in {Tagged, Noted} else {}
    if around is Noted:
        headers[NOTE_HEADER] = header(str, "Warnings, one header for each.")
    if operation.located:
        headers["Location"] = header(str, "Where it is.")
    return found | {str(int(operation.success)): _answer(operation, kind, headers)}


def _answer(operation: Operation, kind: Any, headers: dict[str, Described]) -> Described:
    """The answer by its media types: JSON, a file, or lines."""
    if kind is NoneType:
        return {"description": "It is done."}
    content: dict[str, Described] = {media: {"schema": str} for media in operation.media}
    if operation.media:
        headers["Content-Disposition"] = header(str, "A file name.")
    if get_origin(kind) in {Union, UnionType}:
        (kind,) = [one for one in get_args(kind) if one is not Download]
    if kind is not Download:
        content[JSON] = {"schema": kind}
    if "report" in operation.hints:
        content[LINES] = {"schema": str, "example": '{"progress":{}}\n{"result":{}}\n'}
    return response("The answer.", content, headers)


def _in_query(field: structs.FieldInfo, readers: Readers) -> Described:
    kind, text, examples = _parted(field.type)
    if field.encode_name in readers and get_origin(kind) is not Annotated and kind is not str:
        kind = str  # which its reader makes another thing of
    more = {"default": field.default} if field.default not in (None, "", ()) else {}
    return query(field.encode_name, kind, text, **more, **({"example": examples[0]} if examples else {}))


def _parted(kind: Any) -> tuple[Any, str, list[Any]]:
    """The type of a parameter without the word that it may be left out, what is said of it, and examples."""
    text = ""
    notes: list[Any] = []
    examples: list[Any] = []
    while get_origin(kind) in {Annotated, Union, UnionType}:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            notes += more
        else:
            kind = next(one for one in get_args(kind) if one is not NoneType)
    for note in notes:
        text, examples = text or note.description or "", examples or note.examples or []
    rules = [{name: value for name in _META if (value := getattr(note, name)) is not None} for note in notes]
    for one in filter(None, rules):
        kind = Annotated[kind, Meta(**one)]
    return kind, text, examples
