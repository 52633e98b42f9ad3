"""Groups of users."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.times import format_time
from resources.bodies import Body, Readers
from resources.fields import Count, Time, doc
from storage.accounts import users
from storage.accounts.users import MAX_NAME, MAX_USERNAME, checked_group_name, checked_name


class Group(Struct):
    """A group of users."""

    id: UUID
    name: str
    display_name: str
    created_at: Time
    members: Annotated[Count, doc("The number of its members.")]

    @classmethod
    def of(cls, group: users.Group, members: int) -> Self:
        """Show a group with the number of its members."""
        return cls(group.id, group.name, group.display_name, format_time(group.created_at), members)


GroupName = Annotated[
    str,
    Meta(
        max_length=MAX_USERNAME,
        pattern=r"^[._+@-]*[a-zA-Z0-9][a-zA-Z0-9._+@-]*$",
        description="Letters, digits and `.` `_` `+` `-` `@`, matched without regard to case. Neither `everyone`, nor a "
        "UUID, nor what looks like a token.",
    ),
]
DisplayName = Annotated[str, Meta(max_length=MAX_NAME, description="Printable characters; an empty one is the name.")]


class NewGroup(Body):
    """A group to be."""

    name: GroupName
    display_name: DisplayName | UnsetType = UNSET

    readers: ClassVar[Readers] = {
        "name": checked_group_name,
        "display_name": partial(checked_name, "display name"),
    }


class GroupChange(Body):
    """Changes of a group."""

    name: GroupName | UnsetType = UNSET
    display_name: DisplayName | UnsetType = UNSET

    readers: ClassVar[Readers] = NewGroup.readers
