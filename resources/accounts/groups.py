"""Groups of users."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from resources.bodies import Body, Readers
from resources.fields import Count, doc
from storage.accounts.users import MAX_NAME, MAX_USERNAME, Group, checked_group_name, checked_name


class ListedGroup(Group, frozen=True, kw_only=True):
    """A group of users, and how many they are."""

    members: Annotated[Count, doc("The number of its members.")]


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
