"""What proposed limits would have refused of past calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated

from handlers.api.recorded.visibility import NOT_FOR_READERS, Sight
from handlers.operations.operation import Ask, ReadBy, Report, operation
from limits.replay import Replay
from resources.what_if import Progress, Proposal, WhatIf, WhatIfBody
from storage.mongo.codec import read_ms, write_ms
from storage.queries.past_calls import Decided, past_calls
from storage.queries.said_calls import said_calls

_EXAMPLE = {
    "from": "2026-11-16",
    "to": "2026-11-23",
    "limits": {"each_member": {"rate": {"requests": 60, "window": "1m"}}},
}


@operation("POST", "limits/what-if", shares=True, in_demo=True, raises={403: NOT_FOR_READERS}, example=_EXAMPLE)
async def try_limits(ask: Ask, body: Annotated[bytes, ReadBy(bytes, WhatIfBody)], report: Report) -> WhatIf:
    """Replay calls through proposed limits.

    Replays the calls of a time range through proposed limits and rules. Windows are empty at its begin, and a refused call
    counts nowhere. What a call used counts from its end. Owners, auditors and readers ask for the calls of all, members for
    their own.
    """
    bridge, settings = ask.bridge, ask.bridge.overload.settings
    proposal = WhatIfBody.read(body, bridge.now())
    query = await Sight(ask).query(proposal.q)
    replay = Replay(
        proposal.policy,
        settings.budget_zone,
        retry=proposal.retry,
        has_price=lambda model: bridge.recorder.has_price(model.provider, model.model, bridge.now()),
    )
    read = partial(
        past_calls,
        bridge.database,
        query.conditions,
        visible_to=ask.visible_to,
        cache_reads=settings.count_cache_reads,
        names_models=proposal.names_models,
    )
    if query.search.texts is None:
        await _replay(replay, proposal, read(proposal.start, proposal.end), report)
    else:
        days = said_calls(bridge.database, bridge.search.every(query), proposal.start, proposal.end)
        async with aclosing(days):
            async for start, end, found in days:
                await _replay(replay, proposal, read(start, end, ids=frozenset(found.each)), report)
    await _step_through(replay.finish(write_ms(proposal.end)))
    users = await bridge.identities.users_by_id({user for _, user in replay.outcome.totals})
    return WhatIf.of(proposal, replay.outcome, users)


async def _replay(
    replay: Replay, whole: Proposal, read: AsyncGenerator[Sequence[Decided], None], report: Report
) -> None:
    """Replay calls, and report how much of the whole range is done."""
    async with aclosing(read) as pages:
        async for page in pages:
            await _step_through(replay.decide(page))
            if page:
                at = read_ms(page[-1][0].started_ms)
                await report(Progress.at_time(at, replay.calls, (at - whole.start) / (whole.end - whole.start)))


async def _step_through(steps: Iterable[None]) -> None:
    for _ in steps:
        await asyncio.sleep(0)
