"""Recorded calls: parse, record the start, relay, record the end."""

from __future__ import annotations

import asyncio
import logging

from handlers.dataplane.admission import admit, expect_form
from handlers.dataplane.call_usage import CallUsage
from handlers.dataplane.observation import Observation
from handlers.dataplane.proxy import INTERCEPTION_HEADER, ProxyHandler
from handlers.dataplane.relay import Relay
from handlers.dataplane.services.ownership import check_own
from handlers.dataplane.summary import encoding_of, read_summary, start_of, streams_form
from handlers.dataplane.upstream_request import Destination, UpstreamRequest, check_destination, upstream_problem
from handlers.identity.credentials import secrets_of
from handlers.problems import Problem
from handlers.timer import RECORDING
from intercept.apis import Api, RequestSummary
from intercept.dialects.openai.stream_usage import UsageChunkFilter, refuses_usage
from intercept.formats.request_encoding import IDENTITY
from intercept.ids import format_id
from intercept.records import Interception
from intercept.refusals import Rule
from limits.protection.circuit_breaker import CircuitKey, CircuitOpenError, Permit
from limits.protection.outcomes import outcome_of
from storage.recording.recorder import RecordingUnavailableError
from upstream.client import UpstreamError, UpstreamResponse

logger = logging.getLogger(__name__)

NOT_RECORDABLE = "The call cannot be recorded at the moment, so it was not made. Please try again later."
# What a long stream has used so far is written down this often, for the case that the server dies.
CHECKPOINT_SECONDS = 5.0
# How much of a 400 is read to see whether it refuses `stream_options`.
MAX_REFUSAL_BYTES = 16 * 1024
# What servers answer to an option that they do not know.
REFUSAL_STATUSES = frozenset({400, 422})


class Recorded:
    """The service of a recorded route. No call leaves unrecorded, and every start gets exactly one end."""

    takes_body = True

    def __init__(self, to: Destination, api: Api) -> None:
        self.provider_name = to.provider.name
        self.route_pattern = to.route.pattern
        self._to = to
        self._api = api

    async def admit(self, handler: ProxyHandler) -> None:
        """Admit what can be sent.

        Raises:
            Problem: as `admission.admit` and `check_destination`.
            OverloadedError: concurrency or rate.
        """
        if self._api.parse_form is not None and streams_form(handler, self._to):
            path = self._to.route.names_in(self._to.path)
            reads = self._api.form_names_model
            expect_form(handler, reads_fields=reads, names_model=reads and not path.keys() & {"model", "deployment"})
        await admit(handler)
        check_destination(handler, self._to)

    async def serve(self, handler: ProxyHandler) -> None:
        """Relay one recorded call.

        Raises:
            Problem: the body cannot be relayed or names the file of somebody else, the call cannot be recorded, its circuit is open, or the upstream gave no
                whole answer.
        """
        summary = await read_summary(handler, self._to, self._api)
        if summary.used_file_id is not None:
            await check_own(handler, self.provider_name, summary.used_file_id)
        await RecordedCall(handler, self._to, self._api, summary).run()


class RecordedCall:
    """One call, from its start record to its end record.

    Args:
        handler: Of the request.
        to: Where it is to go.
        api: How the answer is read.
        summary: What was read of the body.
    """

    def __init__(self, handler: ProxyHandler, to: Destination, api: Api, summary: RequestSummary) -> None:
        self._handler = handler
        self._bridge = bridge = handler.bridge
        self._to = to
        self._api = api
        self._summary = summary
        self._sent = UpstreamRequest(handler, to, model=summary.model)
        self._relay = Relay(handler)
        secrets = bridge.secrets.together_with(secrets_of(handler.credentials))
        self._start: Interception = secrets.hide(start_of(handler, to, api, summary, self._sent))
        self._observation = Observation(self._start.id, api, now=bridge.now, secrets=secrets)
        self._usage = CallUsage(handler, handler, self._start, summary.max_output_tokens)
        self._checkpoint_due = 0.0
        handler.add_known(model=self._start.model, interception_id=self._start.id)

    async def run(self) -> None:
        """Record the start, relay, and record the end, whatever that was.

        Raises:
            Problem: a limit refuses the call, it cannot be recorded, its circuit is open, or the upstream gave no whole
                answer.
        """
        handler, observation = self._handler, self._observation
        await self._usage.count()
        await handler.in_step()
        await self._record_start()
        permit = None
        try:
            await handler.in_step()
            permit = self._check_breaker()
            await self._exchange()
        except CircuitOpenError as error:
            observation.rejected(error)
            raise Problem(503, str(error), {"Retry-After": str(error.retry_after_s)}) from error
        except UpstreamError as error:
            observation.failed(error)
            raise upstream_problem(handler, self._to.provider, error) from error
        except Problem as problem:
            observation.given_up(problem.message)
            raise
        finally:
            try:
                await self._read_rest()
            finally:
                self._settle(permit)

    async def _record_start(self) -> None:
        handler, bridge, start = self._handler, self._bridge, self._start
        handler.timer.enter(RECORDING)
        try:
            await bridge.recorder.start(start)
        except RecordingUnavailableError as error:
            raise Problem(503, NOT_RECORDABLE, {"Retry-After": "1"}, rule=Rule.NOT_RECORDABLE) from error
        except asyncio.CancelledError:
            # It may be recorded all the same, so it gets its end.
            ending = self._observation.ending(handler.stopped, credential_hint=self._sent.credential_hint)
            bridge.recorder.end(start, ending)
            raise
        bridge.metrics.overhead(RECORDING, handler.timer.enter(None))
        bridge.metrics.started(start)
        bridge.record_log.started(start)
        handler.interception_id = start.id
        handler.set_header(INTERCEPTION_HEADER, format_id(start.id))

    def _check_breaker(self) -> Permit | None:
        if self._bridge.breakers is None:
            return None
        key = CircuitKey(self._to.provider.name, self._to.route.pattern, self._start.model)
        return self._bridge.breakers.admit(key)

    async def _exchange(self) -> None:
        response, usage_filter = await self._open()
        self._checkpoint_due = self._bridge.monotonic() + CHECKPOINT_SECONDS
        try:
            self._observation.head(response, self._sent.explained)
            await self._relay.run(response, self, usage_filter)
            await self._handler.in_step()
        finally:
            response.close()

    async def _open(self) -> tuple[UpstreamResponse, UsageChunkFilter | None]:
        """Send the request; a chat stream is asked for its usage, unless the provider refuses that.

        Returns:
            The response, and what takes the usage out of it again.

        Raises:
            UpstreamError: no response came.
        """
        handler, usage, provider, model = (
            self._handler,
            self._bridge.chat_usage,
            self._to.provider.name,
            self._summary.model,
        )
        body = handler.body
        is_plain = encoding_of(handler) == IDENTITY
        asking = usage.asking(provider, self._api, self._summary, body) if is_plain else None
        if asking is None:
            return await self._sent.open(), None
        handler.body = asking
        response = await self._sent.open()
        if response.status in REFUSAL_STATUSES and refuses_usage(await response.peek(MAX_REFUSAL_BYTES)):
            response.close()
            usage.refused(provider, model)
            logger.info("provider %s refuses stream_options.include_usage: model=%s", provider, model)
            handler.body = body
            return await self._sent.open(), None
        return response, UsageChunkFilter()

    def watch(self, piece: bytes) -> bool:
        """Read a piece, unless that takes long or a checkpoint is due: that is for `catch_up`."""
        self._observation.chunk(piece)
        return not self._observation.behind and self._bridge.monotonic() < self._checkpoint_due

    async def catch_up(self) -> None:
        """Read what was put off, and write a checkpoint where one is due."""
        due = self._bridge.monotonic() >= self._checkpoint_due
        if not (due or self._observation.behind):
            return
        await self._read_in_pieces()
        if due:
            self._checkpoint_due = self._bridge.monotonic() + CHECKPOINT_SECONDS
            reading = self._observation.reading()
            self._bridge.recorder.checkpoint(self._start, reading)
            self._usage.charge(reading)

    async def _read_in_pieces(self) -> None:
        await self._bridge.pieces.finish(self._observation.steps(), self._handler.identity.user.id)

    async def _read_rest(self) -> None:
        """Read to the end, also where the request is stopped meanwhile: it takes what it takes, and others are served."""
        stopped: asyncio.CancelledError | None = None
        while self._observation.step():
            try:
                await self._read_in_pieces()
            except asyncio.CancelledError as error:
                stopped = error
        if stopped is not None:
            raise stopped

    def _settle(self, permit: Permit | None) -> None:
        bridge, start = self._bridge, self._start
        ending = self._observation.ending(
            self._handler.stopped,
            undelivered=not self._relay.delivered,
            credential_hint=self._sent.credential_hint,
            upstream_asked_at=self._sent.sent_at,
        )
        if permit is not None:
            permit.settle(outcome_of(ending))
        self._usage.charge(ending.reading)
        bridge.recorder.end(start, ending)
        bridge.metrics.ended(start, ending)
        bridge.record_log.ended(ending)
        self._handler.timer.recorded(start, ending)
