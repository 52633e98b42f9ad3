from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import Struct, structs

from handlers.operations.catalogue import OPERATIONS
from resources.fields import shown, shown_fields
from storage.mongo.documents.stored import Hidden, Stored


def _structs(kind: Any, seen: set[Any]) -> Iterator[type[Struct]]:
    """The structs in a type, also those in fields of others."""
    if kind in seen:
        return
    seen.add(kind)
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield kind
    fields = structs.fields(kind) if msgspec.inspect.is_struct_type(kind) else ()
    for one in (*get_args(kind), *(field.type for field in fields)):
        yield from _structs(one, seen)


def test_of_what_is_stored_all_is_shown_but_these_fields():
    seen: set[Any] = set()
    stored = {one for operation in OPERATIONS for one in _structs(operation.answer[0], seen) if issubclass(one, Stored)}
    hidden = {one.__name__: set(one.__struct_fields__) - shown_fields(one).keys() for one in stored}
    user, token = {"group_ids"}, {"user_id", "bound_by", "by_device", "at_desk"}
    assert hidden == {
        "User": user,
        "ListedUser": user,
        "Me": user,
        "ListedGroup": set(),
        "ListedToken": token,
        "ActiveToken": token,
        "CreatedToken": token,
        "FoundToken": token,
        "ListedSession": {"user_id"},
        "Device": {"id"},
        "SavedView": {"user_id"},
        "ListedWebhook": {"sealed"},
        "LastDelivery": set(),
        "KeptDelivery": set(),
        "Entry": set(),
        "Actor": set(),
        "Subject": set(),
        "Detail": set(),
        "Recost": {"position"},
        "KeptPrices": {"id", "version"},
        "OwnPrice": set(),
    }


def test_nothing_hidden_is_shown_wherever_it_stands():
    class Kept(Stored, frozen=True):
        name: str
        sealed: Hidden[str]

    class Answer(Struct):
        by_name: dict[str, Kept]
        several: list[Kept]
        maybe: Kept | None

    one = Kept("a", "secret")
    assert shown(Answer({"a": one}, [one], one)) == {
        "by_name": {"a": {"name": "a"}},
        "several": [{"name": "a"}],
        "maybe": {"name": "a"},
    }
