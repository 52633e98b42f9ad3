"""The names that occur in the calls that the caller may see."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from handlers.operations.operation import Ask, operation
from handlers.operations.query import Paged
from storage.queries.facets import Facet, find_facet


class NameQuery(Paged, frozen=True):
    """Which names."""

    q: Annotated[str, Meta(description="Only those that begin with it; case matters.", examples=["gpt"])] = ""


async def _names(ask: Ask, facet: Facet, query: NameQuery) -> list[str]:
    names = await find_facet(ask.bridge.database, facet, query.q, visible_to=ask.visible_to)
    return names[query.offset : query.offset + query.limit]


@operation("GET", "models", tag="names")
async def list_models(ask: Ask, query: NameQuery) -> list[str]:
    """List the models that occur.

    Each once, sorted; only from calls that the caller may see.
    """
    return await _names(ask, Facet.MODEL, query)


@operation("GET", "clients", tag="names")
async def list_clients(ask: Ask, query: NameQuery) -> list[str]:
    """List the clients that occur.

    Each once, sorted; only from calls that the caller may see.
    """
    return await _names(ask, Facet.CLIENT, query)


@operation("GET", "tags", tag="names")
async def list_tags(ask: Ask, query: NameQuery) -> list[str]:
    """List the names of tags that occur.

    Each once, sorted; only from calls that the caller may see.
    """
    return await _names(ask, Facet.TAG, query)


@operation("GET", "providers", tag="names")
async def list_providers(ask: Ask, query: NameQuery) -> list[str]:
    """List the names of providers that occur.

    Each once, sorted; only from calls that the caller may see.
    """
    return await _names(ask, Facet.PROVIDER, query)
