"""What every request below a provider goes through before it is served, and how it is stopped.

Admission comes before the body is read, so that a refusal costs neither memory nor a call.
"""

from __future__ import annotations

import asyncio
import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from handlers.base import TOO_MANY_REQUESTS, BridgeHandler
from handlers.bridge import Bridge
from handlers.credentials import Credentials, read_credentials
from handlers.dataplane.states import Event, State, next_state
from handlers.lifecycle import SHUTTING_DOWN, ActiveRequest
from handlers.problems import Problem, problem_body
from handlers.timer import ADMISSION, AUTHENTICATION, SERVER_TIMING_HEADER, RequestTimer
from http1.headers import add_checked
from intercept.apis import Dialect
from intercept.formats.large_bodies import Body
from intercept.formats.weight import is_light
from intercept.ids import format_id
from intercept.records import EndReason
from intercept.refusals import Refusal, Rule
from limits.admission import Slot
from limits.mixin import OverloadProtectionMixin, client_key
from limits.overload import OverloadedError, at_capacity
from storage.accounts.events import Plane
from storage.accounts.identities import Identity

BYOK_DISABLED = "Bring Your Own Key (BYOK) mode is not enabled."
# From this many on requests take their steps together, see `in_step`.
MANY_REQUESTS = 4
# Fetch standard, `X-Content-Type-Options`; CSP level 3, `sandbox`.
NO_PAGE_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
)
# The official SDKs and Claude Code obey it; without it some repeat a 401.
RETRY_HEADER = "x-should-retry"
# What no repetition mends.
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 413, 415})
# A whole request body has to arrive within this time.
BODY_SECONDS = 300.0


class DataPlaneHandler(OverloadProtectionMixin, BridgeHandler):
    """Admits a request, collects its body, and ends it when the client leaves or the server stops.

    `body` is the whole request body; who needs it last empties it, for a stream may go on for hours.
    """

    BODY_METHODS = BridgeHandler.SUPPORTED_METHODS
    plane = Plane.DATA
    dialect: Dialect
    credentials: Credentials

    def initialize(self, bridge: Bridge, dialect: Dialect) -> None:  # type: ignore[override]
        """Receive the running bridge and the dialect in which errors are to be told."""
        super().initialize(bridge)
        self.overload = bridge.overload
        self.dialect = dialect
        self.timer = RequestTimer(bridge.monotonic) if bridge.trace is None else bridge.trace(self.request)
        self.stopped: EndReason | None = None
        self.body: Body = b""
        self._arriving = bytearray()
        self._waits_for: str | None = None  # the user, while the body is on its way
        self._work: asyncio.Task[None] | None = None
        self._state = State.RECEIVING
        self._active_request = ActiveRequest(request_id=self.request_id, since=bridge.now())

    def read_credentials(self) -> Credentials:
        """The credentials that the request carries. No cookie is one: no page of a browser calls providers."""
        return read_credentials(self.request.headers)

    def set_default_headers(self) -> None:
        """Let no browser take an answer for a page of the bridge: what a provider sends is not ours to vouch for."""
        super().set_default_headers()
        for name, value in NO_PAGE_HEADERS:
            add_checked(self._headers, name, value)

    async def prepare(self) -> None:
        """Admit the request, or answer why not; the body has not been read yet."""
        if self.cycle.wants_body:
            self.cycle.set_max_body_size(sys.maxsize)
            self.cycle.set_body_timeout(BODY_SECONDS)
        self.cycle.on_refusal = lambda error: self._note_refusal(error.rule, error.status)
        self.bridge.lifecycle.enter(self)
        self.timer.enter(ADMISSION)
        try:
            await self.admit()
            if self.cycle.wants_body and not self.cycle.body_arrived and self.holds_slots:
                self._waits_for = format_id(self.identity.user.id)
                self.overload.arriving.enter(self._waits_for, self)
            self.timer.enter(None)
            for phase, seconds in self.timer.seconds.items():
                self.bridge.metrics.overhead(phase, seconds)
        except (Problem, OverloadedError) as refusal:
            self._refuse(refusal)

    async def admit(self) -> None:
        """Decide whether the request may start: cheapest question first.

        Raises:
            Problem: draining, not authenticated, own key not allowed, body too large.
            OverloadedError: concurrency or rate.
        """
        if self.bridge.lifecycle.draining:
            raise _stopping()
        refusal = await self._take_free_slot()
        self.timer.enter(AUTHENTICATION)
        self.credentials = self.read_credentials()
        try:
            self.identity = await self.authenticate(self.credentials)
        except Problem as problem:
            self.timer.enter(ADMISSION)
            if problem.status != TOO_MANY_REQUESTS:
                await self.count_request(client_key(self.client_ip))
            raise
        self.timer.enter(ADMISSION)
        user = self.identity.user
        self._active_request = replace(self._active_request, user_id=user.id, username=user.username)
        user_key = format_id(user.id)
        if refusal is not None and self.overload.arriving.find_slow(user_key) is None:
            raise refusal
        await self.count_request(self.identity.token_id, user_key=user_key)
        if refusal is not None:
            await self._take_slow_slot(user_key)
        if self.credentials.own_key is not None and not self.bridge.options.allow_byok:
            raise Problem(403, BYOK_DISABLED, rule=Rule.OWN_KEY_NOT_ALLOWED)
        if _declared_length(self.request.headers.get("Content-Length", "")) > self.bridge.options.max_body_bytes:
            raise self._body_too_large()

    async def _take_free_slot(self) -> OverloadedError | None:
        """Take a slot; without one return why, if a body that is slow may have to give one up.

        Raises:
            OverloadedError: 503, all are taken.
        """
        try:
            await self.take_slot()
        except OverloadedError as refusal:
            if not self.overload.arriving:
                raise
            return refusal
        return None

    async def _take_slow_slot(self, user_key: str) -> None:
        """Take the slot of a request whose body is slow.

        Raises:
            OverloadedError: 503, its body has come by now, and all slots are taken.
        """
        slow = self.overload.arriving.find_slow(user_key)
        if slow is None:
            await self.take_slot()
        else:
            self.take_over_slot(slow.give_way())

    def give_way(self) -> Sequence[Slot]:
        """Be refused, as somebody else needs the slot while the body is on its way."""
        slots = self.hand_over_slot()
        self._refuse(at_capacity())
        return slots

    def _stop_arriving(self) -> None:
        if self._waits_for is not None:
            self.overload.arriving.leave(self._waits_for, self)
            self._waits_for = None

    def data_received(self, chunk: bytes) -> None:
        """Collect the body up to its limit."""
        if len(self._arriving) + len(chunk) > self.bridge.options.max_body_bytes:
            self._refuse(self._body_too_large())
        else:
            self._arriving += chunk

    @abstractmethod
    async def serve(self) -> None:
        """Answer the admitted request, whose body is whole. Cancelled when the request is stopped.

        Raises:
            Problem: an answer of the bridge's own.
        """

    async def _run(self) -> None:
        if self.cycle.finished:  # refused while its body was arriving
            return
        if self._state is State.OVER or self.cycle.closed:
            self.finish()
            return
        self._stop_arriving()
        # A large body is not copied: a copy takes time that all requests wait for, and as much memory again.
        self.body = bytes(self._arriving) if is_light(self._arriving) else self._arriving
        self._arriving = bytearray()
        self._work = work = cast("asyncio.Task[None]", asyncio.current_task())
        self.move(Event.SERVE_STARTS)
        try:
            await self.serve()
            await self.in_step()
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            work.uncancel()
            if self.stopped is EndReason.SERVER_SHUTDOWN and not self.is_relayed:
                raise _stopping() from None
        finally:
            self._work = None
            self.move(Event.SERVE_ENDS)

    get = head = post = put = patch = delete = options = _run

    @property
    def is_relayed(self) -> bool:
        """Whether the client was given the whole response, but for its end."""
        return self._state is State.RELAYED

    def move(self, event: Event) -> None:
        """Note what happened to the request.

        Raises:
            InvalidTransitionError: it is not possible now.
        """
        before, self._state = self._state, next_state(self._state, event)
        if self._state is State.OVER is not before:
            self.timer.over(self.get_status() if self._headers_written else None, self._active_request)

    def stop(self, reason: EndReason) -> None:
        """End the request: the client left, or the server stops."""
        if self.stopped is None:
            self.stopped = reason
        self.move(Event.STOP)
        if self._work is not None:
            self._work.cancel()
        elif reason is EndReason.SERVER_SHUTDOWN and not self._finished:
            self.break_off()

    async def in_step(self) -> None:
        """Let the other requests that are ready come to the same step, while many are under way.

        The same code then runs for all of them in a row, from the processor's caches. Of 32 requests at a time, a sixth
        more are answered, at the cost of some iterations of the event loop. A request that is alone is not held up.

        Raises:
            CancelledError: the request was stopped.
        """
        if self.bridge.lifecycle.in_flight >= MANY_REQUESTS:
            await asyncio.sleep(0)

    def holding(self) -> ActiveRequest | None:
        """What is to be said of the request while it holds slots."""
        return self._active_request if self.holds_slots else None

    def on_connection_close(self) -> None:
        """The client left. A request whose body never came whole is over with that: Tornado finishes nothing more."""
        super().on_connection_close()
        was_receiving = self._state is State.RECEIVING
        self.stop(EndReason.CLIENT_DISCONNECTED)
        if was_receiving:
            self.on_finish()

    def on_finish(self) -> None:
        """Give back what the request held."""
        super().on_finish()
        self._stop_arriving()
        self.bridge.lifecycle.leave(self)
        self.move(Event.FINISH)

    def error_body(self, problem: Problem) -> bytes:
        """Errors speak the dialect of the route."""
        return problem_body(self.dialect, problem.status, problem.message, self.request_id, problem.retry_after_ms)

    @property
    def is_recorded(self) -> bool:
        """Whether there is an interception, which says how the call ended."""
        return False

    def write_problem(self, problem: Problem) -> None:
        """Note a refusal; add the request id, under the name that the dialect's clients read, and where the time went."""
        if problem.rule is not None and not self.is_recorded:
            self._note_refusal(problem.rule, problem.status, problem.retry_after_ms)
        self.timer.enter(None)
        self.tell_timing()
        if problem.status in FINAL_STATUSES:
            self.set_header(RETRY_HEADER, "false")
        self.set_header("Request-Id" if self.dialect is Dialect.ANTHROPIC else "X-Request-Id", self.request_id)
        super().write_problem(problem)

    def tell_timing(self) -> None:
        """Say in the head of the answer where the time went so far, beside what a provider may say of its own."""
        if timing := self.timer.server_timing():
            self.add_header(SERVER_TIMING_HEADER, timing)

    def _refuse(self, refusal: Problem | OverloadedError) -> None:
        """Answer now, and give back what the request holds; of its body nothing more is wanted."""
        self._arriving.clear()
        if isinstance(refusal, OverloadedError):
            refusal = Problem(refusal.status, refusal.message, refusal.headers, rule=refusal.rule)
        self.write_problem(refusal)
        self.finish()

    def _note_refusal(self, rule: Rule, status: int, retry_after_ms: int | None = None) -> None:
        identity: Identity | None = getattr(self, "identity", None)
        refusal = Refusal(
            rule=rule,
            status=status,
            initiator_id=self._active_request.user_id,
            api_key_id=identity.token_id if identity else self.refused_token_id,
            client_ip=None if identity else client_key(self.client_ip),
            provider=self._active_request.provider,
            route=self._active_request.route,
            model=self._active_request.model,
            retry_after_ms=retry_after_ms,
        )
        self.bridge.note_refusal(refusal)

    def _body_too_large(self) -> Problem:
        allowed = self.bridge.options.max_body_bytes
        message = f"The request body is larger than the allowed {allowed} bytes."
        return Problem(413, message, {"Connection": "close"}, rule=Rule.BODY_TOO_LARGE)


def _stopping() -> Problem:
    """What to tell those who come while the server stops."""
    return Problem(503, SHUTTING_DOWN, {"Connection": "close", "Retry-After": "1"}, rule=Rule.STOPPING)


def _declared_length(content_length: str) -> int:
    """The length that a request declares; 0 when it declares none. Tornado refuses what is no number by itself."""
    return int(content_length[:18]) if content_length.isdecimal() else 0
