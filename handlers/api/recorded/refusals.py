"""Which calls the bridge refused before they became interceptions, newest first."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from handlers.api.recorded.interceptions import AfterId
from handlers.api.recorded.visibility import Sight
from handlers.operations.operation import Ask, operation
from handlers.operations.query import Paged
from handlers.problems import ValidationProblem
from resources.fields import ListPage
from resources.recorded.refusals import Refusal
from storage.queries.filters.search_language import REFUSAL_SEARCH_KEYS, parse_refusal_search
from storage.queries.filters.words import InvalidSearchError
from storage.queries.refusals import read_refusals

INVALID_SEARCH = "Invalid refusal search query."


class RefusalQuery(Paged, frozen=True):
    """Which refusals."""

    q: Annotated[
        str,
        Meta(
            description="A search as that for calls: `key:value`, `key:a,b` for one of several values, `-key:value` for what "
            f"is not so. Words without a key name the user. Keys are {', '.join(REFUSAL_SEARCH_KEYS)}.",
            examples=["user:me rule:rate"],
        ),
    ] = ""
    after_id: AfterId = None


@operation("GET", "refusals")
async def list_refusals(ask: Ask, query: RefusalQuery) -> ListPage[Refusal]:
    """List refused calls.

    Newest first. Equal refusals within a minute are one row; the statistics count each of them.
    """
    try:
        search = parse_refusal_search(query.q, now=ask.bridge.now())
    except InvalidSearchError as error:
        raise ValidationProblem(INVALID_SEARCH, validations=error.validations) from error
    count, rows = await read_refusals(
        ask.bridge.database,
        (await Sight(ask).resolved(search)).refusal_filter(),
        visible_to=ask.visible_to,
        limit=query.limit,
        after_id=query.after_id,
        offset=query.offset,
    )
    known = {row["initiator_id"] for row in rows if row["initiator_id"] is not None}
    initiators = await ask.bridge.identities.users_by_id(known)
    return ListPage(count, [Refusal.of(row, initiators) for row in rows])
