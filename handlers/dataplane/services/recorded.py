"""Recorded calls: parse, record the start, relay, record the end."""

from __future__ import annotations

from urllib.parse import unquote
from uuid import UUID

from msgspec.structs import replace

from handlers.dataplane.admission import admit, expect_form
from handlers.dataplane.call import Call
from handlers.dataplane.fallback import Tries, find_destinations
from handlers.dataplane.proxy import INTERCEPTION_HEADER, PROVIDER_HEADER, ProxyHandler
from handlers.dataplane.relay import Relay
from handlers.dataplane.services.ownership import check_own, check_references
from handlers.dataplane.summary import read_summary, start_of, streams_form
from handlers.dataplane.upstream_request import Destination, check_destination, upstream_problem
from handlers.problems import Problem
from handlers.timer import RECORDING
from intercept.apis import Api
from intercept.formats.content_encoding import has_ascii
from intercept.ids import format_id
from intercept.records import EndReason
from intercept.refusals import Rule
from limits.protection.circuit_breaker import CircuitOpenError, outcome_of
from upstream.client import UpstreamError
from upstream.providers.provider import Provider
from upstream.routes import Audience

OTHER_CHARSET = "The charset of a request must be UTF-8."
# The type of the error of a request that turned out to be none.
INVALID_REQUEST = "invalid_request"


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
        await admit(handler, is_free=self._api.is_free)
        check_destination(handler, self._to)
        if not has_ascii(handler.request.headers.get("Content-Type", "")):
            raise Problem(415, OTHER_CHARSET, rule=Rule.UNUSABLE_BODY)
        if self._to.route.audience is Audience.OWN_RESPONSE:
            await check_own(handler, self.provider_name, unquote(self._to.route.id_in(self._to.path)))

    async def serve(self, handler: ProxyHandler) -> None:
        """Relay one recorded call.

        Raises:
            Problem: the body cannot be relayed, or names the file of another user; a limit or a policy refuses the call; it
                cannot be recorded; its circuit is open; or the upstream sent no whole response.
        """
        to, api = self._to, self._api
        summary = await read_summary(handler, to, api)
        if summary.used_file_id is not None:
            await check_own(handler, self.provider_name, summary.used_file_id)
        await check_references(handler, self.provider_name, summary.references)
        destinations = find_destinations(handler, to, api, summary) if to.provider.fallback else (to,)
        tries = Tries(handler, api, summary, destinations)
        # An error of the bridge names the request by the id that finds the call.
        start = start_of(handler, destinations[0], api, summary, tries.sent, id_=UUID(handler.request_id))
        if len(destinations) > 1:
            start = replace(start, requested_provider_name=to.provider.name)
        call = Call(handler, start, api)
        handler.add_known(model=call.start.model, interception_id=start.id)
        await call.count(summary, api.requested_models)
        await handler.in_step()
        await self._begin(handler, call)
        relay = Relay(handler)
        try:
            await handler.in_step()
            await self._make(handler, call, tries, relay, awaits_id=summary.in_background and summary.stream)
        except CircuitOpenError as error:
            call.failed(EndReason.CIRCUIT_OPEN, error)
            raise Problem(503, str(error), {"Retry-After": str(error.retry_after_s)}) from error
        except UpstreamError as error:
            call.failed(error.end_reason, error)
            raise upstream_problem(handler, tries.sent.provider, error) from error
        except Problem as problem:  # after a part of the request was sent
            call.failed(EndReason.CLIENT_DISCONNECTED, problem, INVALID_REQUEST)
            raise
        finally:
            self._end(handler, call, tries, is_delivered=relay.delivered)

    async def _begin(self, handler: ProxyHandler, call: Call) -> None:
        handler.timer.enter(RECORDING)
        await call.begin()
        handler.bridge.metrics.overhead(RECORDING).observe(handler.timer.enter(None))
        handler.interception_id = call.start.id
        handler.set_header(INTERCEPTION_HEADER, format_id(call.start.id))

    async def _make(self, handler: ProxyHandler, call: Call, tries: Tries, relay: Relay, *, awaits_id: bool) -> None:
        response, usage_filter, sent = await tries.open()
        call.expect_checkpoints(awaits_id=awaits_id)
        try:
            call.head(response)
            self._note_answer(handler, call, sent.provider)
            await relay.run(response, call, usage_filter)
            await handler.in_step()
        finally:
            response.close()

    def _end(self, handler: ProxyHandler, call: Call, tries: Tries, *, is_delivered: bool) -> None:
        self._note_answer(handler, call, tries.sent.provider)
        ending = call.ending(
            handler.stopped,
            undelivered=not is_delivered,
            credential_hint=tries.sent.credential_hint,
            upstream_asked_at=tries.sent.sent_at,
            tries=tries.record,
        )
        tries.settle(outcome_of(ending))
        call.end(ending)
        handler.timer.recorded(call.start, ending)

    def _note_answer(self, handler: ProxyHandler, call: Call, provider: Provider) -> None:
        call.answered_by(provider)
        if provider.name != self.provider_name:
            handler.stand_in = provider.name
            handler.set_header(PROVIDER_HEADER, provider.name)
