"""Jobs that price past calls again. For owners to request, for auditors to see."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from handlers.operations.operation import AUDITORS, OWNERS, Ask, ReadBy, operation
from resources.bodies import read_fields
from resources.fields import WholeList, doc
from resources.money.recosts import RecostBody, read_range
from storage.prices.recost_documents import Recost
from storage.prices.recosts import UNKNOWN, Recosts

Id = Annotated[UUID, doc("The id of the job.")]


def _recosts(ask: Ask) -> Recosts:
    return Recosts(ask.bridge.database, now=ask.bridge.now)


@operation("GET", "prices/recosts", AUDITORS)
async def list_recosts(ask: Ask) -> WholeList[Recost]:
    """List the jobs that price past calls again.

    The newest 100.
    """
    return WholeList(await _recosts(ask).list_newest())


@operation(
    "POST",
    "prices/recosts",
    OWNERS,
    status=202,
    located="id",
    raises={409: "Another job has not ended."},
    example=RecostBody("2026-11-01", "2026-12-01"),
)
async def request_recost(ask: Ask, body: Annotated[dict[str, Any], ReadBy(read_fields, RecostBody)]) -> Recost:
    """Price past calls again.

    At the prices that hold now. The servers on the database do it, one job at a time. Totals and sessions follow exactly;
    each call keeps its earlier costs.
    """
    start, end = read_range(body, ask.bridge.now())
    return await _recosts(ask).request(start, end, author=ask.author)


@operation("GET", "prices/recosts/{id}", AUDITORS, unknown=UNKNOWN)
async def get_recost(ask: Ask, id_: Id) -> Recost:
    """Read the progress of a job that prices calls again."""
    return await _recosts(ask).find(id_)


@operation("DELETE", "prices/recosts/{id}", OWNERS, unknown=UNKNOWN, raises={409: "It has ended."})
async def cancel_recost(ask: Ask, id_: Id) -> Recost:
    """Cancel a job that prices calls again.

    Calls that were priced again keep their new cost, and the job stays listed.
    """
    return await _recosts(ask).cancel(id_, author=ask.author)
