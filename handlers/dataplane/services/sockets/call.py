"""One response over a WebSocket, from its start record to its end record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from handlers.dataplane.admission import check_again, client_of
from handlers.dataplane.call_usage import CallUsage
from handlers.dataplane.observation import Observation
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.services.recorded import CHECKPOINT_SECONDS, NOT_RECORDABLE
from handlers.dataplane.summary import is_priced_by_response, start_of
from handlers.dataplane.upstream_request import Destination, UpstreamRequest
from handlers.identity.credentials import secrets_of
from handlers.lifecycle import ActiveRequest
from handlers.problems import Problem
from intercept.apis import Api, RequestSummary
from intercept.records import EndReason, Interception, SocketOrigin
from intercept.refusals import Rule
from limits.held import Held
from limits.limit import Amounts
from limits.protection.circuit_breaker import CircuitKey, CircuitOpenError, Permit
from limits.protection.outcomes import outcome_of
from storage.recording.recorder import RecordingUnavailableError
from upstream.client import UpstreamError

logger = logging.getLogger(__name__)

ACCEPTED = 200
"""The status that a response over a WebSocket is recorded with, unless an error names another one."""


class SocketCall:
    """Takes a slot and counts like a call over HTTP, for as long as the response lasts.

    Args:
        handler: Of the WebSocket's handshake.
        to: Where the handshake went.
        sent: The handshake, which has the credential.
        api: How the response is read.
        origin: Which WebSocket it is, and where on it.

    Attributes:
        refusal: What a limit says to a response that has begun already; None where it is within all limits.
        sent_at: When the request went to the provider; None before.
        policy: What policies say of the caller; None if they say nothing.
    """

    def __init__(
        self, handler: ProxyHandler, to: Destination, sent: UpstreamRequest, api: Api, origin: SocketOrigin
    ) -> None:
        self._handler = handler
        self._bridge = handler.bridge
        self._to = to
        self._sent = sent
        self._api = api
        self._origin = origin
        self.refusal: Problem | None = None
        self.sent_at: datetime | None = None
        self._know_client()
        self._held: tuple[Held, ...] = ()
        self._permit: Permit | None = None
        self._checkpoint_due = 0.0
        self._ended = False

    async def admit(self, *, takes_slot: bool = True) -> None:
        """Take a slot, and count for the limits of the client, who has to be allowed still.

        Args:
            takes_slot: False for what the provider does beside a response, which would have to wait for it.

        Raises:
            Problem: As `check_again`.
            OverloadedError: Concurrency or rate.
        """
        await check_again(self._handler, self._to.provider.name)
        self._know_client()
        overload = self._bridge.overload
        if takes_slot:
            self._held += (await overload.acquire_slot(),)
        self._hold(await overload.count_request(self._client, slots=None if takes_slot else False))

    def _know_client(self) -> None:
        self.policy = self._handler.policy
        self._client = client_of(self._handler)

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the call uses."""
        return any(held.charged for held in self._held)

    async def count_call(self, reserve: Callable[[], Amounts]) -> None:
        """Count for the limits that need the body.

        Raises:
            OverloadedError: Tokens or budget.
        """
        self._hold(await self._bridge.overload.count_call(self._client, reserve))

    def _hold(self, held: Held) -> None:
        self._held += (held,)
        if held.shadow:
            self._handler.note_shadow(held.shadow)

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the call has used since its start."""
        for held in self._held:
            held.charge(amounts, reserve)

    async def start(self, summary: RequestSummary, *, is_begun: bool = False) -> None:
        """Record the start. Of a response that has begun nothing is refused any more, and it is recorded in any case.

        Raises:
            Problem: A limit refuses the call, it cannot be recorded, or its circuit is open.
        """
        handler, bridge = self._handler, self._bridge
        secrets = bridge.secrets.together_with(secrets_of(handler.credentials))
        start = start_of(handler, self._to, self._api, summary, self._sent)
        recording = self.policy.recording if self.policy else None  # of now, not of the handshake
        # Nothing else can be requested over a WebSocket than a stream.
        start = replace(start, streaming=True, recording=recording, websocket=self._origin)
        self._start: Interception = secrets.hide(start)
        self._observation = Observation(
            self._start.id, self._api, now=bridge.now, secrets=secrets, keep_text=self._start.keeps_response
        )
        self._observation.accept(ACCEPTED)
        self._observation.priced_by_response = is_priced_by_response(bridge, self._to.provider, start.model)
        self._usage = CallUsage(self, handler, self._start, summary)
        try:
            await self._usage.count()
        except Problem as problem:
            if not is_begun:
                raise
            self.refusal = problem
        try:
            await bridge.recorder.start(self._start)
        except RecordingUnavailableError as error:
            if not is_begun:
                raise Problem(503, NOT_RECORDABLE, {"Retry-After": "1"}, rule=Rule.NOT_RECORDABLE) from error
            logger.warning("a response that began by itself is recorded when it ends: %s", error)
        except asyncio.CancelledError:
            # It may be recorded all the same, so it gets its end.
            self._ended = True
            ending = self._observation.ending(handler.stopped, credential_hint=self._sent.credential_hint)
            bridge.recorder.end(self._start, ending)
            raise
        bridge.begin(self._start)
        bridge.lifecycle.enter(self)
        self._checkpoint_due = bridge.monotonic() + CHECKPOINT_SECONDS
        if not is_begun:
            self._check_breaker()

    @property
    def model(self) -> str:
        """The model that was requested."""
        return self._start.model

    def feed(self, message: bytes, status: int | None = None) -> None:
        """Take an event of the response, which `read` or the end reads; `status` is that of an error."""
        if status is not None:
            self._observation.status = status
        self._observation.chunk(b"data: %b\n\n" % message.translate(_ONE_LINE))

    def read(self) -> None:
        """Read what was fed, where a checkpoint is due."""
        if self._bridge.monotonic() >= self._checkpoint_due:
            self._checkpoint_due = self._bridge.monotonic() + CHECKPOINT_SECONDS
            reading = self._observation.reading()
            self._usage.charge(reading, self._bridge.recorder.checkpoint(self._start, reading))

    @property
    def wants_rest(self) -> bool:
        """Whether the usage may be about to come, or is to be charged."""
        return self.is_charged or self._observation.reading().between_parts

    def end(self, stopped: EndReason | None = None, error: UpstreamError | None = None, *, is_delivered: bool) -> None:
        """Record the end, and give back what the call holds. A second time it does nothing.

        Args:
            stopped: Why the bridge broke it off; None if it did not.
            error: How the connection to the provider broke; None if it did not.
            is_delivered: Whether the client has read everything that came of the response.
        """
        if self._ended:
            return
        if error is not None:
            self._observation.failed(error)
        try:
            self._end(stopped, is_delivered=is_delivered)
            self._bridge.lifecycle.leave(self)
        finally:
            self.release()

    def release(self) -> None:
        """Give back slots and reservations."""
        held, self._held = self._held, ()
        for one in held:
            one.release()

    def stop(self, reason: EndReason) -> None:
        """Nothing: the WebSocket is stopped, and that ends its calls."""

    def holding(self) -> ActiveRequest | None:
        """What is to be said of the call while it holds slots."""
        return replace(
            self._handler.active_request,
            since=self._start.started_at,
            username=self._handler.identity.user.username,
            model=self._start.model,
            interception_id=self._start.id,
        )

    def _check_breaker(self) -> None:
        if self._bridge.breakers is None:
            return
        try:
            self._permit = self._bridge.breakers.admit(
                CircuitKey(self._to.provider.name, self._to.route.pattern, self._start.model)
            )
        except CircuitOpenError as error:
            self._observation.rejected(error)
            self.end(is_delivered=True)
            raise Problem(503, str(error), {"Retry-After": str(error.retry_after_s)}) from error

    def _end(self, stopped: EndReason | None, *, is_delivered: bool) -> None:
        self._ended = True
        bridge = self._bridge
        ending = self._observation.ending(
            stopped,
            undelivered=not is_delivered,
            credential_hint=self._sent.credential_hint,
            upstream_asked_at=self.sent_at,
        )
        if self._permit is not None:
            self._permit.settle(outcome_of(ending))
        self._usage.charge(ending.reading, bridge.end(self._handler.identity.user, self._start, ending))


# Between the tokens of JSON a line end is white space, and nowhere else may one stand.
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
