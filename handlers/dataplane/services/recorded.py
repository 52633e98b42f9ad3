"""Recorded calls: parse, record the start, relay, record the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote
from uuid import UUID

from msgspec.structs import replace

from handlers.dataplane.admission import admit, expect_form
from handlers.dataplane.call_usage import CallUsage
from handlers.dataplane.fallback.destinations import find_destinations
from handlers.dataplane.fallback.tries import Tries
from handlers.dataplane.observation import Observation
from handlers.dataplane.proxy import INTERCEPTION_HEADER, PROVIDER_HEADER, ProxyHandler
from handlers.dataplane.relay import Relay, Watcher
from handlers.dataplane.services.ownership import check_own, check_references
from handlers.dataplane.summary import is_priced_by_response, read_summary, start_of, streams_form
from handlers.dataplane.upstream_request import Destination, check_destination, upstream_problem
from handlers.identity.credentials import secrets_of
from handlers.problems import Problem
from handlers.timer import RECORDING
from intercept.apis import Api, RequestSummary
from intercept.formats.request_encoding import has_ascii
from intercept.ids import format_id
from intercept.records import Interception
from intercept.refusals import Rule
from limits.protection.circuit_breaker import CircuitOpenError
from limits.protection.outcomes import outcome_of
from storage.recording.recorder import RecordingUnavailableError
from upstream.client import UpstreamError
from upstream.providers.provider import Provider
from upstream.routes.route import Audience

NOT_RECORDABLE = "The call cannot be recorded at the moment, so it was not made. Please try again later."
OTHER_CHARSET = "The charset of a request must be UTF-8."
# What a long stream has used so far is written down this often, for the case that the server dies.
CHECKPOINT_SECONDS = 5.0


class Recorded:
    """The service of a recorded route. No call leaves unrecorded, and every start gets exactly one end."""

    takes_body = True

    def __init__(self, to: Destination, api: Api) -> None:
        self.provider_name = to.provider.name
        self.route_pattern = to.route.pattern
        self._to = to
        self._api = api

    async def admit(self, handler: ProxyHandler) -> None:
        """Admit what can be sent, and is about what is the user's own where it names something.

        Raises:
            Problem: 415 for another charset than UTF-8, 404 for what is not the user's, 503 when that cannot be known now, and
                as `admission.admit` and `check_destination`.
            OverloadedError: concurrency or rate.
        """
        if self._api.parse_form is not None and streams_form(handler, self._to):
            path = self._to.route.names_in(self._to.path)
            reads = self._api.form_names_model
            expect_form(handler, reads_fields=reads, names_model=reads and not path.keys() & {"model", "deployment"})
        await admit(handler)
        check_destination(handler, self._to)
        if not has_ascii(handler.request.headers.get("Content-Type", "")):
            raise Problem(415, OTHER_CHARSET, rule=Rule.UNUSABLE_BODY)
        if self._to.route.audience is Audience.OWN_RESPONSE:
            await check_own(handler, self.provider_name, unquote(self._to.route.id_in(self._to.path)))

    async def serve(self, handler: ProxyHandler) -> None:
        """Relay one recorded call.

        Raises:
            Problem: the body cannot be relayed, or names the file of another user; the call cannot be recorded; its circuit
                is open; or the upstream sent no whole response.
        """
        summary = await read_summary(handler, self._to, self._api)
        if summary.used_file_id is not None:
            await check_own(handler, self.provider_name, summary.used_file_id)
        await check_references(handler, self.provider_name, summary.references)
        to = self._to
        destinations = find_destinations(handler, to, self._api, summary) if to.provider.fallback else (to,)
        await RecordedCall(handler, to, self._api, summary, destinations).run()


class RecordedCall(Watcher):
    """One call, from its start record to its end record.

    Args:
        handler: Of the request.
        to: Where its client sent it.
        api: How the response is read.
        summary: What was read of the body.
        destinations: Where it may go, see `Tries`.
    """

    def __init__(
        self,
        handler: ProxyHandler,
        to: Destination,
        api: Api,
        summary: RequestSummary,
        destinations: Sequence[Destination],
    ) -> None:
        self._handler = handler
        self._bridge = bridge = handler.bridge
        self._tries = Tries(handler, api, summary, destinations)
        self._relay = Relay(handler)
        secrets = bridge.secrets.together_with(secrets_of(handler.credentials))
        # An error of the bridge names the request by the id that finds the call.
        start = start_of(handler, destinations[0], api, summary, self._tries.sent, id_=UUID(handler.request_id))
        if len(destinations) > 1:
            start = replace(start, requested_provider_name=to.provider.name)
        self._recorded: Interception = secrets.hide(start)
        self._start = self._recorded
        self._requested = to.provider.name
        self._observation = Observation(
            self._start.id, api, now=bridge.now, secrets=secrets, keep_text=self._start.keeps_response
        )
        self._usage = CallUsage(handler, handler, self._start, summary, api.requested_models)
        self._checkpoint_due = self._id_due = 0.0
        self._awaits_id = summary.in_background and summary.stream
        handler.add_known(model=self._start.model, interception_id=self._start.id)

    async def run(self) -> None:
        """Record the start, relay, and record the end, whatever that was.

        Raises:
            Problem: a limit refuses the call, it cannot be recorded, its circuit is open, or the upstream sent no whole
                response.
        """
        handler, observation = self._handler, self._observation
        await self._usage.count()
        await handler.in_step()
        await self._record_start()
        try:
            await handler.in_step()
            await self._relay_call()
        except CircuitOpenError as error:
            observation.rejected(error)
            raise Problem(503, str(error), {"Retry-After": str(error.retry_after_s)}) from error
        except UpstreamError as error:
            observation.failed(error)
            raise upstream_problem(handler, self._tries.sent.provider, error) from error
        except Problem as problem:
            observation.given_up(problem.message)
            raise
        finally:
            self._settle()

    async def _record_start(self) -> None:
        handler, bridge, start = self._handler, self._bridge, self._start
        handler.timer.enter(RECORDING)
        try:
            await bridge.recorder.start(start)
        except RecordingUnavailableError as error:
            raise Problem(503, NOT_RECORDABLE, {"Retry-After": "1"}, rule=Rule.NOT_RECORDABLE) from error
        except asyncio.CancelledError:
            # It may be recorded all the same, so it gets its end.
            ending = self._observation.ending(handler.stopped, credential_hint=self._tries.sent.credential_hint)
            bridge.recorder.end(start, ending)
            raise
        bridge.metrics.overhead(RECORDING).observe(handler.timer.enter(None))
        bridge.begin(start)
        handler.interception_id = start.id
        handler.set_header(INTERCEPTION_HEADER, format_id(start.id))

    async def _relay_call(self) -> None:
        response, usage_filter, sent = await self._tries.open()
        self._id_due = self._bridge.monotonic() + CHECKPOINT_SECONDS
        if not self._awaits_id:
            self._checkpoint_due = self._id_due
        try:
            self._observation.head(response, sent.explained)
            self._set_provider(sent.provider)
            priced_by = is_priced_by_response(self._bridge, sent.provider, self._start.model)
            self._observation.priced_by_response = priced_by
            await self._relay.run(response, self, usage_filter)
            await self._handler.in_step()
        finally:
            response.close()

    def _set_provider(self, provider: Provider) -> None:
        """Attribute the call to the provider that responded: it decides what the call costs."""
        if provider.name != self._start.provider_name:
            self._bridge.metrics.moved(self._start, provider.name)
            self._start = replace(self._start, provider=provider.type.value, provider_name=provider.name)
        if provider.name != self._requested:
            self._handler.stand_in = provider.name
            self._handler.set_header(PROVIDER_HEADER, provider.name)

    def watch(self, piece: bytes) -> bool:
        """Read a piece. A checkpoint that is due is for `catch_up`."""
        self._observation.chunk(piece)
        return self._bridge.monotonic() < self._checkpoint_due

    async def catch_up(self) -> None:
        """Write a checkpoint where one is due."""
        if self._bridge.monotonic() < self._checkpoint_due:
            return
        reading = self._observation.reading()
        if self._awaits_id and not reading.response_id and self._bridge.monotonic() < self._id_due:
            return
        self._checkpoint_due = self._bridge.monotonic() + CHECKPOINT_SECONDS
        self._usage.charge(reading, self._bridge.recorder.checkpoint(self._start, reading))

    async def wants_rest(self) -> bool:
        """Whether the usage may come at once: of a body always, as it is whole before it is sent; of a stream between parts.

        Where a limit counts what the call uses, a client that leaves anywhere is to be charged.
        """
        if not self._start.streaming:
            return True
        reading = self._observation.reading()
        return reading.open_ended or reading.between_parts or self._handler.is_charged

    def _settle(self) -> None:
        bridge = self._bridge
        self._set_provider(self._tries.sent.provider)
        start = self._start
        has_moved = start is not self._recorded
        ending = self._observation.ending(
            self._handler.stopped,
            undelivered=not self._relay.delivered,
            credential_hint=self._tries.sent.credential_hint,
            upstream_asked_at=self._tries.sent.sent_at,
            other_provider=self._tries.sent.provider if has_moved else None,
            tries=self._tries.record,
        )
        self._tries.settle(outcome_of(ending))
        self._usage.charge(ending.reading, bridge.end(self._handler.identity.user, start, ending))
        self._handler.timer.recorded(start, ending)
