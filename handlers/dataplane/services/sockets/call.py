"""One response over a WebSocket: a call with slots and reservations of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from msgspec.structs import replace

from handlers.dataplane.admission import check_again, client_of
from handlers.dataplane.call import Call
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.summary import start_of
from handlers.dataplane.upstream_request import Destination, UpstreamRequest
from handlers.problems import Problem
from intercept.apis import Api, RequestSummary
from intercept.records import EndReason, SocketOrigin
from limits.authority import Held
from limits.limit import Amounts
from limits.protection.circuit_breaker import CircuitKey, CircuitOpenError, Permit, outcome_of
from upstream.client import UpstreamError

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
        refusal: What is said to a response that has begun already; None where it is within all limits.
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
        self._sent_at: datetime | None = None
        self._held: tuple[Held, ...] = ()
        self._permit: Permit | None = None

    async def begin(
        self, summarize: Callable[[], Awaitable[RequestSummary]], *, is_made: bool = False, takes_slot: bool = True
    ) -> None:
        """Take a slot, count like any call of a client, who has to be allowed still, and record the start.

        Of a response that the provider has begun by itself nothing is refused any more, and it is recorded in any case.

        Args:
            summarize: Reads the request.
            is_made: Whether the response has begun.
            takes_slot: False for what the provider does beside a response, which would have to wait for it.

        Raises:
            Problem: The client or the request is refused, the call cannot be recorded, or its circuit is open. Nothing is held.
        """
        try:
            await self._allow(self._admit(takes_slot=takes_slot), is_made=is_made)
            summary = await summarize()
            start = start_of(self._handler, self._to, self._api, summary, self._sent)
            # Nothing else can be requested over a WebSocket than a stream.
            start = replace(start, streaming=True, websocket=self._origin)
            self._call = call = Call(self._handler, start, self._api, self)
            call.accept(ACCEPTED)
            call.answered_by(self._to.provider)
            await self._allow(call.count(summary), is_made=is_made)
            await call.begin(is_made=is_made)
            self._bridge.lifecycle.enter(self)
            call.expect_checkpoints()
            if not is_made:
                self._check_breaker()
        except BaseException:
            self.release()
            raise
        self._sent_at = self._bridge.now()

    async def _allow(self, check: Awaitable[None], *, is_made: bool) -> None:
        try:
            await check
        except Problem as problem:
            if not is_made:
                raise
            self.refusal = self.refusal or problem

    async def _admit(self, *, takes_slot: bool) -> None:
        await check_again(self._handler, self._to.provider.name)
        overload = self._bridge.overload
        if takes_slot:
            self._held += (await overload.acquire_slot(),)
        slots = None if takes_slot else False
        self._hold(await overload.count_request(client_of(self._handler), slots=slots))

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the call uses."""
        return any(held.charged for held in self._held)

    async def count_call(self, reserve: Callable[[], Amounts]) -> None:
        """Count for the limits that need the body.

        Raises:
            OverloadedError: Tokens or budget.
        """
        self._hold(await self._bridge.overload.count_call(client_of(self._handler), reserve))

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the call has used since its start."""
        for held in self._held:
            held.charge(amounts, reserve)

    def _hold(self, held: Held) -> None:
        self._held += (held,)
        self._handler.note_shadow(held.shadow)

    @property
    def model(self) -> str:
        """The model that was requested."""
        return self._call.start.model

    def feed(self, message: bytes, status: int | None = None) -> None:
        """Give an event of the response to the call, which reads it; `status` is that of an error."""
        if status is not None:
            self._call.status = status
        self._call.watch(b"data: %b\n\n" % message.translate(_ONE_LINE))

    async def catch_up(self) -> None:
        """Write a checkpoint where one is due."""
        await self._call.catch_up()

    async def wants_rest(self) -> bool:
        """Whether the usage may be about to come, or is to be charged."""
        return await self._call.wants_rest()

    def end(self, stopped: EndReason | None = None, error: UpstreamError | None = None, *, is_delivered: bool) -> None:
        """Record the end, and give back what the call holds.

        Args:
            stopped: Why the bridge broke it off; None if it did not.
            error: How the connection to the provider broke; None if it did not.
            is_delivered: Whether the client has read everything that came of the response.
        """
        call = self._call
        try:
            if error is not None:
                call.failed(error.end_reason, error)
            ending = call.ending(
                stopped,
                undelivered=not is_delivered,
                credential_hint=self._sent.credential_hint,
                upstream_asked_at=self._sent_at,
            )
            if self._permit is not None:
                self._permit.settle(outcome_of(ending))
            call.end(ending)
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

    def _check_breaker(self) -> None:
        if self._bridge.breakers is None:
            return
        try:
            self._permit = self._bridge.breakers.admit(
                CircuitKey(self._to.provider.name, self._to.route.pattern, self.model)
            )
        except CircuitOpenError as error:
            self._call.failed(EndReason.CIRCUIT_OPEN, error)
            self.end(is_delivered=True)
            raise Problem(503, str(error), {"Retry-After": str(error.retry_after_s)}) from error


# Between the tokens of JSON a line end is white space, and nowhere else may one stand.
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
