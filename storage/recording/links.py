"""Links: digests by which calls that belong together are found, all of them by one index. Pure.

A call has one for the name of its session, for its conversation, for each tool call that it issued and, if it failed, for what
it asked. Conversations and tool calls of two users have different links. Whoever finds calls by a link compares what it stands
for, as far as that matters: a digest is short.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from typing import Final
from uuid import UUID

LINK_BYTES: Final = 8
"""Size of a link."""


class Link(Enum):
    """What a link stands for."""

    SESSION = b"session"
    CONVERSATION = b"conversation"
    TOOL_CALL = b"tool call"
    FAILURE = b"failure"

    def of(self, value: str | bytes, initiator_id: UUID | bytes = b"") -> bytes:
        """Return the link of a name, an id or a digest, which is another one for each initiator that is given."""
        data = value.encode(errors="replace") if isinstance(value, str) else value
        key = initiator_id.bytes if isinstance(initiator_id, UUID) else initiator_id
        return blake2b(data, digest_size=LINK_BYTES, key=key, person=self.value).digest()
