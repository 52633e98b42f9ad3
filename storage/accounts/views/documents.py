"""What a saved view is: an address of the dashboard under a name. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from storage.mongo.documents.stored import Hidden, Stored, StoredTime

MAX_VIEWS_OF_USER: Final = 100
"""How many views a user may have saved."""

MAX_VIEW_NAME: Final = 80
"""Longest name of a view, in characters."""

MAX_VIEW_QUERY: Final = 2_000
"""Longest query of a view: the characters of its names and values together."""

VIEW_PAGE: Final = r"^[a-z]{1,20}$"
"""What the name of a view of the dashboard looks like."""

ViewName = Annotated[
    str, Meta(min_length=1, max_length=MAX_VIEW_NAME, description="Unique among the views of a user, ignoring case.")
]
ViewPage = Annotated[
    str,
    Meta(pattern=VIEW_PAGE, description="The view of the dashboard that it opens: the first word of its address."),
]
ViewParameters = Annotated[
    Mapping[str, str],
    Meta(
        description="The parameters of its address: `q` the search, `range` a time range that stays relative, or `from` and "
        "`to`, `tz`, `by` what is grouped by, `order` and so on. Of `usage`, `users`, `groups` "
        "and `providers` `of` is the user, the group or the provider."
    ),
]
IsShared = Annotated[bool, Meta(description="Whether all users see it. Each sees only the calls that they may see.")]


class View(Stored, frozen=True, kw_only=True):
    """A view of the dashboard under a name. `user_id` is the group's where it belongs to callers with its tokens."""

    id: UUID
    user_id: Hidden[UUID]
    name: ViewName
    page: ViewPage
    query: ViewParameters
    shared: IsShared
    created_at: StoredTime
    changed_at: StoredTime

    @property
    def version(self) -> str:
        """A text that is another one after each change."""
        said = (self.name, self.page, sorted(self.query.items()), self.shared, self.created_at, self.changed_at)
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]
