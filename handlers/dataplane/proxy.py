"""Recorded calls: parse, record the start, relay, record the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from handlers.credentials import secrets_of
from handlers.dataplane.observation import Observation
from handlers.dataplane.relay import RelayHandler
from handlers.problems import Problem
from handlers.timer import RECORDING
from intercept.agents import Agent, read_agent
from intercept.apis import Api, InvalidRequestError, RequestSummary
from intercept.clients import CLAUDE_CODE, client_name, session_id
from intercept.dialects.request_bodies import MAX_PATH_MODEL
from intercept.dialects.stream_usage import UsageChunkFilter, refuses_usage
from intercept.formats.large_bodies import abridged
from intercept.formats.request_encoding import ENCODINGS, IDENTITY, InflatedTooLargeError, inflated
from intercept.formats.weight import is_light
from intercept.ids import format_id
from intercept.records import Interception
from intercept.refusals import Rule
from limits.circuit_breaker import CircuitKey, CircuitOpenError, Permit
from limits.outcomes import outcome_of
from storage.recording.recorder import RecordingUnavailableError
from upstream.client import UpstreamError, UpstreamResponse

T = TypeVar("T")

logger = logging.getLogger(__name__)

INTERCEPTION_HEADER = "X-AI-Bridge-Interception-Id"
NOT_RECORDABLE = "The call cannot be recorded at the moment, so it was not made. Please try again later."
# What a long stream has used so far is written down this often, for the case that the server dies.
CHECKPOINT_SECONDS = 5.0
# How much of a 400 is read to see whether it refuses `stream_options`.
MAX_REFUSAL_BYTES = 16 * 1024
# What servers answer to an option that they do not know.
REFUSAL_STATUSES = frozenset({400, 422})
# User agents are recorded for people to look at; a hostile one is cut.
USER_AGENT_CHARACTERS = 512
NO_AGENT = Agent()


class ProxyHandler(RelayHandler):
    """Serves the recorded routes. No call leaves unrecorded, and every start gets exactly one end."""

    def initialize(self, api: Api, **where: Any) -> None:  # type: ignore[override]
        """Receive the API of the route."""
        super().initialize(**where)
        self.api = api
        self._interception_id: UUID | None = None
        self._checkpoint_due = 0.0

    @property
    def is_recorded(self) -> bool:
        """Whether there is an interception, which says how the call ended."""
        return self._interception_id is not None

    def write_problem(self, problem: Problem) -> None:
        """Name the interception also where the bridge answers in the upstream's place."""
        if self._interception_id is not None:
            self.set_header(INTERCEPTION_HEADER, format_id(self._interception_id))
        super().write_problem(problem)

    async def serve(self) -> None:
        """Relay one recorded call.

        Raises:
            Problem: the body cannot be relayed, the call cannot be recorded, its circuit is open, or the upstream gave no
                whole answer.
        """
        summary = await self._summary()
        self.choose_key(summary.model)
        secrets = self.bridge.secrets.together_with(secrets_of(self.credentials))
        interception = secrets.hide(self._interception(summary))
        self._active_request = replace(self._active_request, model=interception.model, interception_id=interception.id)
        observation = Observation(interception.id, self.api, now=self.bridge.now, secrets=secrets)
        self._started, self._observation = interception, observation
        await self.in_step()
        await self._record_start(interception, observation)
        permit = None
        try:
            await self.in_step()
            permit = self._ask_breaker(interception.model)
            await self._exchange(summary, observation)
        except CircuitOpenError as error:
            observation.rejected(error)
            raise Problem(503, str(error), {"Retry-After": str(error.retry_after_s)}) from error
        except UpstreamError as error:
            observation.failed(error)
            raise self.upstream_problem(error) from error
        finally:
            try:
                await self._read_rest(observation)
            finally:
                self._settle(interception, observation, permit)

    def watch(self, piece: bytes) -> bool:
        """Read a piece, unless that takes long or a checkpoint is due: that is for `catch_up`."""
        self._observation.chunk(piece)
        return not self._observation.behind and self.bridge.monotonic() < self._checkpoint_due

    async def catch_up(self) -> None:
        """Read what was put off, and write a checkpoint where one is due."""
        due = self.bridge.monotonic() >= self._checkpoint_due
        if not (due or self._observation.behind):
            return
        await self._in_pieces(self._observation.steps())
        if due:
            self._checkpoint_due = self.bridge.monotonic() + CHECKPOINT_SECONDS
            self.bridge.recorder.checkpoint(self._started, self._observation.reading())

    async def _in_pieces(self, steps: Generator[None, None, T]) -> T:
        return await self.bridge.pieces.finish(steps, self.identity.user.id)

    async def _read_rest(self, observation: Observation) -> None:
        """Read to the end, also where the request is stopped meanwhile: it takes what it takes, and others are served."""
        stopped: asyncio.CancelledError | None = None
        while observation.step():
            try:
                await self._in_pieces(observation.steps())
            except asyncio.CancelledError as error:
                stopped = error
        if stopped is not None:
            raise stopped

    async def _record_start(self, interception: Interception, observation: Observation) -> None:
        self.timer.enter(RECORDING)
        try:
            await self.bridge.recorder.start(interception)
        except RecordingUnavailableError as error:
            raise Problem(503, NOT_RECORDABLE, {"Retry-After": "1"}, rule=Rule.NOT_RECORDABLE) from error
        except asyncio.CancelledError:
            # It may be recorded all the same, so it gets its end.
            ending = observation.ending(self.stopped, credential_hint=self.credential_hint)
            self.bridge.recorder.end(interception, ending)
            raise
        self.bridge.metrics.overhead(RECORDING, self.timer.enter(None))
        self.bridge.metrics.started(interception)
        self.bridge.record_log.started(interception)
        self._interception_id = interception.id
        self.set_header(INTERCEPTION_HEADER, format_id(interception.id))

    def _ask_breaker(self, model: str) -> Permit | None:
        if self.bridge.breakers is None:
            return None
        return self.bridge.breakers.admit(CircuitKey(self.provider.name, self.route.pattern, model))

    async def _open_with_usage(self, summary: RequestSummary) -> UpstreamResponse:
        """Send the request; a chat stream is asked for its usage, unless the provider refuses that.

        Raises:
            UpstreamError: no response came.
        """
        usage, provider, body = self.bridge.chat_usage, self.provider.name, self.body
        asking = usage.asking(provider, self.api, summary, body) if self._encoding == IDENTITY else None
        if asking is None:
            return await self.open_upstream()
        self.body = asking
        response = await self.open_upstream()
        if response.status in REFUSAL_STATUSES and refuses_usage(await response.peek(MAX_REFUSAL_BYTES)):
            response.close()
            usage.refused(provider, summary.model)
            logger.info("provider %s refuses stream_options.include_usage: model=%s", provider, summary.model)
            self.body = body
            return await self.open_upstream()
        self.usage_filter = UsageChunkFilter()
        return response

    async def _exchange(self, summary: RequestSummary, observation: Observation) -> None:
        response = await self._open_with_usage(summary)
        self._checkpoint_due = self.bridge.monotonic() + CHECKPOINT_SECONDS
        try:
            observation.head(response)
            await self.relay(response)
            await self.in_step()
        finally:
            response.close()

    def _settle(self, interception: Interception, observation: Observation, permit: Permit | None) -> None:
        stopped = None if self.is_relayed else self.stopped  # who leaves then has everything
        ending = observation.ending(
            stopped,
            undelivered=not self.delivered,
            credential_hint=self.credential_hint,
            upstream_asked_at=self._asked_at,
        )
        if permit is not None:
            permit.settle(outcome_of(ending))
        self.bridge.recorder.end(interception, ending)
        self.bridge.metrics.ended(interception, ending)
        self.bridge.record_log.ended(ending)
        self.timer.recorded(interception, ending)

    @property
    def _encoding(self) -> str:
        """How the body is encoded, `IDENTITY` where it is not."""
        return self.request.headers.get("Content-Encoding", "").strip().lower() or IDENTITY

    async def _summary(self) -> RequestSummary:
        encoding, body = self._encoding, self.body
        if encoding not in (IDENTITY, *ENCODINGS):
            message = f"Content-Encoding {encoding!r} is not supported in requests: allowed are {', '.join(ENCODINGS)}."
            raise Problem(415, message, rule=Rule.COMPRESSED_BODY)
        try:
            if encoding != IDENTITY:
                body = await self._in_pieces(inflated(body, encoding, self.bridge.options.max_body_bytes))
            if not is_light(body):
                body = await self._in_pieces(abridged(body))
            return self._parsed(body if isinstance(body, bytes) else bytes(body))
        except InflatedTooLargeError as error:
            raise Problem(413, str(error), rule=Rule.BODY_TOO_LARGE) from error
        except InvalidRequestError as error:
            raise Problem(400, str(error), rule=Rule.UNUSABLE_BODY) from error

    def _parsed(self, body: bytes) -> RequestSummary:
        """Read the body, and what the path says of the model and of streaming."""
        named = self.route.names_in(self.path)
        model = named.get("model", "")
        if max(map(len, named.values()), default=0) > MAX_PATH_MODEL:
            raise InvalidRequestError(f"the path names more than {MAX_PATH_MODEL} characters")
        summary = self.api.parse_request(body, model or named.get("deployment", ""))
        if model or self.route.streams:
            return replace(summary, model=model or summary.model, stream=summary.stream or self.route.streams)
        return summary

    def _interception(self, summary: RequestSummary) -> Interception:
        headers = self.request.headers
        client = client_name(headers)
        session = session_id(client, headers, summary.session_hint, summary.conversation_id)
        return Interception(
            id=self.bridge.new_id(),
            api_key_id=self.identity.token_id,
            initiator_id=self.identity.user.id,
            provider=self.provider.type.value,
            provider_name=self.provider.name,
            route=self.route.pattern,
            model=summary.model,
            streaming=summary.stream,
            client=client,
            client_session_id=session,
            user_agent=headers.get("User-Agent", "")[:USER_AGENT_CHARACTERS],
            credential_kind=self.credential_kind,
            credential_hint=self.credential_hint,
            started_at=self.bridge.now(),
            agent=read_agent(headers) if client == CLAUDE_CODE else NO_AGENT,
            user_prompt=summary.user_prompt,
            answered_tool_call_id=summary.answered_tool_call_id,
            conversation=None if session else summary.conversation,
            previous_response_id=None if session else summary.previous_response_id,
        )
