"""The recorded calls, newest first, and one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from handlers.api.recorded.pages import page_of
from handlers.api.recorded.visibility import NOT_FOR_READERS, SearchText, Sight
from handlers.operations.operation import Ask, Pieces, operation
from handlers.operations.query import Paged
from handlers.problems import Problem, sentence
from intercept.ids import format_id
from resources.fields import doc
from resources.recorded.interceptions import Interception, InterceptionList
from storage.accounts.events import Way

UNKNOWN_INTERCEPTION = "there is no interception with this id that you may see"

AfterId = Annotated[
    UUID | None, doc("Start after this one: the last of the previous page. Not together with `offset`.")
]


class InterceptionQuery(Paged, frozen=True):
    """Which interceptions."""

    q: SearchText = ""
    after_id: AfterId = None


@operation("GET", "interceptions", raises={403: NOT_FOR_READERS})
async def list_interceptions(ask: Ask, query: InterceptionQuery) -> Pieces[InterceptionList]:
    """List interceptions.

    What was recorded, newest first. Calls in flight are left out unless the search has a `status`.
    """
    search = await Sight(ask).query(query.q)
    paging: dict[str, Any] = {"limit": query.limit, "after_id": query.after_id, "offset": query.offset}
    if search.search.texts is None and not search.is_for_index:
        count, rows = await ask.bridge.interceptions.page(search.conditions, visible_to=ask.visible_to, **paging)
        pieces = page_of(ask, lambda last: InterceptionList(count, [], last), rows, Sight(ask).resource_of)
        return Pieces(pieces)
    found = await ask.bridge.search.page(search, **paging)
    is_by_words = search.search.texts is not None

    async def add_matches(documents: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> None:
        """Add what matches, as far as there is time for it."""
        for row, matches in zip(rows, await ask.bridge.search.matches(search, documents), strict=False):
            row.matches = matches

    return Pieces(
        page_of(
            ask,
            lambda last: InterceptionList(found.count, [], last or found.next_after, found.is_exact),
            found.rows,
            Sight(ask, Way.SEARCH if is_by_words else Way.LIST).resource_of,
            add_matches if is_by_words else None,
        )
    )


@operation("GET", "interceptions/{id}", unknown=UNKNOWN_INTERCEPTION)
async def get_interception(ask: Ask, id_: Annotated[UUID, doc("The id of the interception.")]) -> Interception:
    """Read an interception.

    Calls in flight have one too.
    """
    document = await ask.bridge.interceptions.find(id_, visible_to=ask.visible_to)
    if document is None:
        raise Problem(404, sentence(UNKNOWN_INTERCEPTION))
    sight = Sight(ask, Way.DETAIL, (("interception_id", format_id(document["_id"])),))
    return sight.resource_of(document, await ask.bridge.identities.users_by_id([document["initiator_id"]]))
