"""Operations by their methods: what they have in common, and the errors that all of them may have."""

from __future__ import annotations

from handlers.openapi.parts import Described, shared

METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})
# The errors of every operation, and of those with a body.
CHANGE = {
    "401": shared("Unauthorized"),
    "429": shared("TooManyRequests"),
    "500": shared("InternalError"),
    "503": shared("Unavailable"),
}
CHANGE_WITH_BODY = CHANGE | {
    "400": shared("InvalidBody"),
    "408": shared("LateBody"),
    "413": shared("BodyTooLarge"),
    "415": shared("BodyNotJSON"),
}


def tagged(tag: str, item: Described) -> Described:
    """The item of a path, with the tag in each operation that has no other."""
    return {key: {"tags": [tag]} | value if key in METHODS else value for key, value in item.items()}
