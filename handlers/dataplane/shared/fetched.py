"""Calls that are recorded when their result is fetched, once each."""

from __future__ import annotations

from uuid import UUID, uuid5

from intercept.records import Ending, Interception

MAX_REMEMBERED = 10_000
"""Ids of fetched calls that a process remembers. The database knows them some moments later."""

# Of ids that are made of what names a response, in its provider's words.
_NAMESPACE = UUID("5a6d9c34-6f4e-4f0b-9a51-0a6a6bb0f9d7")


def fetched_id(*names: str) -> UUID:
    """The id of a call that is known by these names: the same in every process."""
    return uuid5(_NAMESPACE, "\0".join(names).encode(errors="replace").decode())


def background_id(initiator_id: UUID, provider_name: str, response_id: str) -> UUID:
    """The id of the call for a user's response that ran in the background."""
    return fetched_id(str(initiator_id), provider_name, response_id)


class FetchedCalls:
    """The calls of this process that were recorded a moment ago, or are being recorded."""

    def __init__(self) -> None:
        self._ids: dict[UUID, None] = {}

    def claim(self, id_: UUID) -> bool:
        """Take over the recording of a call; False if somebody has."""
        if id_ in self._ids:
            return False
        if len(self._ids) >= MAX_REMEMBERED:
            del self._ids[next(iter(self._ids))]
        self._ids[id_] = None
        return True

    def give_back(self, id_: UUID) -> None:
        """Leave a call to the next one who fetches it."""
        self._ids.pop(id_, None)

    def ended(self, start: Interception, ending: Ending) -> None:
        """Note that a call has told what a response used that ran in the background: nobody is to record that again."""
        reading = ending.reading
        if reading.background_model and reading.token_usages:
            self.claim(background_id(start.initiator_id, start.provider_name, reading.response_id))
