"""`POST /api/v2/aibridge/limits/what-if`: what proposed limits would have refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import ClassVar

import msgspec
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from handlers.api.accounts.changes import ChangeHandler
from handlers.api.recorded.watched import LINES, WatchedHandler
from limits.what_if.past_calls import PastCall, RequestedModel
from limits.what_if.replay import Replay
from resources.what_if import Progress, Proposal, WhatIf, WhatIfBody
from storage.mongo.codec import read_ms, write_ms
from storage.queries.grouped.sources.found import CallFinder
from storage.queries.past_calls import PastCalls
from storage.queries.said_calls import said_calls


class WhatIfHandler(ChangeHandler, WatchedHandler):
    """Replays past calls through proposed limits: of owners, auditors and readers those of all, of members their own."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ("POST",)
    _sends_progress = False
    _waiting = 0
    get = head = RequestHandler.get  # type: ignore[assignment]  # there is nothing to be read

    async def post(self) -> None:
        """Respond with what would have been refused; with `Accept: application/x-ndjson`, lines of progress come first."""
        await self.identify()
        with suppress(StreamClosedError):
            await self.respond()

    async def respond(self) -> None:
        """Read the calls, decide on each, and respond."""
        proposal = self.read_with(lambda body: WhatIfBody.read(body, self.bridge.now()))
        query = await self.query(proposal.q)
        self.begin_export()
        settings = self.bridge.overload.settings
        replay = Replay(proposal.policy, settings.budget_zone, retry=proposal.retry, has_price=self._has_price)
        past = PastCalls(
            self.bridge.database,
            query.conditions,
            visible_to=self.visible_to,
            cache_reads=settings.count_cache_reads,
        )
        self._sends_progress = LINES in self.request.headers.get("Accept", "")
        if self._sends_progress:
            self.set_header("Content-Type", LINES)
        with self.late_problems():
            async with self.watched():
                if query.search.texts is None:
                    await self._replay(replay, proposal, past)
                else:
                    await self._replay_said(replay, proposal, past, self.bridge.search.every(query))
                await self._step_through(replay.finish(write_ms(proposal.end)))
            outcome = replay.outcome
            users = await self.bridge.identities.users_by_id({user for _, user in outcome.totals})
            result = WhatIf.of(proposal, outcome, users)
            if query.search.texts is not None:
                result.uncounted = self._waiting
            if self._sends_progress:
                self.write(msgspec.json.encode({"result": result}) + b"\n")
            else:
                self.write_json(result)

    async def _replay_said(self, replay: Replay, proposal: Proposal, past: PastCalls, finder: CallFinder) -> None:
        """Replay the calls that say the words of a search."""
        days = said_calls(self.bridge.database, finder, proposal.start, proposal.end)
        async with aclosing(days):
            async for start, end, found in days:
                if self.cycle.ended:
                    raise StreamClosedError
                self._waiting += found.waiting
                within = proposal._replace(start=start, end=end)
                await self._replay(replay, within, past, frozenset(found.each), whole=proposal)

    async def _replay(
        self,
        replay: Replay,
        within: Proposal,
        past: PastCalls,
        ids: frozenset[bytes] | None = None,
        whole: Proposal | None = None,
    ) -> None:
        """Replay the calls of a range, those with these ids or all, and send how much of the whole range is done."""
        if within.names_models:
            named = past.named_pages(within.start, within.end, ids)
            async with aclosing(named):
                async for some in named:
                    await self._step_through(replay.decide_named(some))
                    await self._send_progress(replay, whole or within, some[-1][0] if some else None)
            return
        pages = past.pages(within.start, within.end, ids)
        async with aclosing(pages):
            async for page in pages:
                await self._step_through(replay.decide(page))
                await self._send_progress(replay, whole or within, page[-1] if page else None)

    def _has_price(self, model: RequestedModel) -> bool:
        return self.bridge.recorder.has_price(model.provider, model.model, self.bridge.now())

    async def _step_through(self, steps: Iterator[None]) -> None:
        for _ in steps:
            if self.cycle.ended:
                raise StreamClosedError
            await asyncio.sleep(0)

    async def _send_progress(self, replay: Replay, proposal: Proposal, last: PastCall | None) -> None:
        if not self._sends_progress or last is None:
            return
        at = read_ms(last[0])
        share = (at - proposal.start) / (proposal.end - proposal.start)
        self.write(msgspec.json.encode({"progress": Progress.at_time(at, replay.calls, share)}) + b"\n")
        await self.send()
