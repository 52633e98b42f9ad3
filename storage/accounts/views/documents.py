"""What a saved view is: an address of the dashboard under a name. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from storage.mongo.documents.stored import Stored

MAX_VIEWS_OF_USER: Final = 100
"""How many views a user may have saved."""

MAX_VIEW_NAME: Final = 80
"""Longest name of a view, in characters."""

MAX_VIEW_QUERY: Final = 2_000
"""Longest query of a view: the characters of its names and values together."""


class View(Stored, frozen=True, kw_only=True):
    """A saved view.

    Attributes:
        user_id: Whose it is; of who calls with a token of a group the id of the group.
        name: What it is called, once among the views of its user.
        page: The view of the dashboard that it opens, the first word of its address.
        query: The parameters of its address, see the dashboard's `router.js`.
        shared: Whether everybody sees it.
    """

    id: UUID
    user_id: UUID
    name: str
    page: str
    query: Mapping[str, str]
    shared: bool
    created_at: datetime
    changed_at: datetime

    @property
    def version(self) -> str:
        """A text that is another one after each change."""
        said = (self.name, self.page, sorted(self.query.items()), self.shared, self.created_at, self.changed_at)
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]
