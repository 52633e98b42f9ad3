"""The Tornado handler of every request below a provider. Its service does the work, see the package."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Protocol, cast
from uuid import UUID

from msgspec.structs import replace

from handlers.base import TOO_MANY_REQUESTS, BridgeHandler
from handlers.bridge import Bridge
from handlers.dataplane.incoming_form import PIECE_SECONDS, WHOLE_SECONDS, IncomingForm, Stage
from handlers.dataplane.pings import EventGaps
from handlers.dataplane.states import ARRIVING, OVER, SERVED, SERVING, RequestProgress
from handlers.identity.credentials import Credentials, read_credentials, read_protocol_key, read_query_key
from handlers.lifecycle import ActiveRequest
from handlers.problems import Problem, body_too_large, problem_body, problem_event, stopping
from handlers.timer import ADMISSION, SERVER_TIMING_HEADER, RequestTimer
from handlers.tornado_private import headers_of, serve_before_the_body
from intercept.apis import Dialect
from intercept.ids import format_id
from intercept.records import EndReason
from intercept.refusals import Refusal, Rule
from intercept.secrets import scrub_quoted
from limits.desk import BILLING, budget_headers, worded
from limits.limit import Decision, LimitState
from limits.policies.effective import Effective
from limits.protection.mixin import OverloadProtectionMixin, client_key
from limits.protection.overload import OverloadedError, refusal
from storage.accounts.events import Plane

INTERCEPTION_HEADER = "X-AI-Bridge-Interception-Id"
# Of a response that another provider than the one in the path has given, or has failed to give.
PROVIDER_HEADER = "X-AI-Bridge-Provider"
# From this many on requests take their steps together, see `in_step`.
MANY_REQUESTS = 4
# Fetch standard, `X-Content-Type-Options`; CSP level 3, `sandbox`.
NO_PAGE_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
)
# A whole request body has to arrive within this time.
BODY_SECONDS = 300.0
BAD_GATEWAY = 502
# The official SDKs and Claude Code obey it; without it some repeat a 401.
RETRY_HEADER = "x-should-retry"
CONTACT = " Contact: {}."
# The rules of budgets; only who signed in below a provider is refused by them with 429.
BUDGETS = frozenset({Rule.USER_BUDGET, Rule.POLICY_BUDGET})
# What no repetition mends.
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 413, 415})
# Characters of a refused request's path, and of the message, that are recorded. More of the path is read, so that no half
# of a credential is kept.
KEPT_OF_PATH, KEPT_OF_MESSAGE = 200, 1_000
READ_OF_PATH = 1_000


class Service(Protocol):
    """What is done for one request. Its methods are called in this order, and the second only if the first raised nothing."""

    @property
    def takes_body(self) -> bool:
        """Whether the request may have a body."""

    @property
    def provider_name(self) -> str | None:
        """The provider of the request; None without one."""

    @property
    def route_pattern(self) -> str | None:
        """The route of the request; None without one."""

    async def admit(self, handler: ProxyHandler) -> None:
        """Decide whether the request may start. Its body has not been read.

        Raises:
            Problem: It may not, and why.
        """

    async def serve(self, handler: ProxyHandler) -> None:
        """Respond to the admitted request, whose body is whole. Cancelled when the request is stopped.

        Raises:
            Problem: A response of the bridge's own.
        """


class ProxyHandler(OverloadProtectionMixin, BridgeHandler):
    """Admits a request, collects its body, serves it, and ends it when the client leaves or the server stops.

    Attributes:
        dialect: Of errors.
        timer: Measures the parts of the request.
        gaps: Whether the response is between two events, so that the bridge can add one.
        body: The whole body of the request. Who needs it last empties it, for a stream may go on for hours.
        form: The body, if it goes to the provider while it arrives; else None.
        progress: How far the request is.
        policy: What policies say of the caller; None if they say nothing.
        interception_id: Of the record, once the start is recorded. Then its end says how the call ended.
        active_request: What is known of it so far.
        stand_in: The name of the provider that answered, if that is not the one in the path.
    """

    BODY_METHODS = BridgeHandler.SUPPORTED_METHODS
    plane = Plane.DATA
    credentials: Credentials
    _work: asyncio.Task[None]
    _form_due: float

    def initialize(self, bridge: Bridge, dialect: Dialect, service: Service) -> None:  # type: ignore[override]
        """Receive the running bridge, the dialect of errors, and the service of the request."""
        super().initialize(bridge)
        if not service.takes_body:
            self.cycle.refuse_body()
        self.overload = bridge.overload
        self.dialect = dialect
        self.timer = RequestTimer(bridge.monotonic) if bridge.trace is None else bridge.trace(self.request)
        self.gaps = EventGaps()
        self.body = b""
        self.form: IncomingForm | None = None
        self.progress = RequestProgress()
        self.policy: Effective | None = None
        self.interception_id: UUID | None = None
        self.stand_in: str | None = None
        self._service = service
        self.active_request = ActiveRequest(provider=service.provider_name, route=service.route_pattern)

    def read_credentials(self) -> Credentials:
        """The credentials that the request carries. No cookie is one: no page of a browser calls providers."""
        return read_credentials(self.request.headers, query_key=self.query_key or self.protocol_key)

    @property
    def query_key(self) -> str:
        """The key in the query; only Google's clients may send one."""
        return read_query_key(self.request.query) if self.dialect.key_in_query else ""

    @property
    def protocol_key(self) -> str:
        """What a WebSocket's client offers as a key among its subprotocols; "" if it offers none."""
        return read_protocol_key(self.request.headers) if "Upgrade" in self.request.headers else ""

    def set_default_headers(self) -> None:
        """Prevent browsers from treating a provider's response as a page of the bridge."""
        super().set_default_headers()
        headers = headers_of(self)
        for name, value in NO_PAGE_HEADERS:
            headers[name] = value

    async def prepare(self) -> None:
        """Admit the request, or say why not; the body has not been read yet."""
        cycle = self.cycle
        if cycle.wants_body:
            cycle.set_max_body_size(sys.maxsize)
            cycle.set_body_timeout(BODY_SECONDS)
        cycle.on_refusal = lambda error: self.note_refusal(Problem(error.status, error.message, rule=error.rule))
        self.bridge.lifecycle.enter(self)
        self.timer.enter(ADMISSION)
        try:
            await self._service.admit(self)
            self.timer.enter(None)
            for phase, seconds in self.timer.seconds.items():
                self.bridge.metrics.overhead(phase).observe(seconds)
        except Problem as problem:
            self._refuse(problem)

    @property
    def told_at_desk(self) -> str:
        """How the headers begin by which the client, who signed in below a provider, is told of budgets; "" for another one."""
        identity = getattr(self, "identity", None)
        return self.dialect.desk_headers if identity is not None and identity.at_desk else ""

    def budget_headers(self) -> dict[str, str]:
        """What a client that signed in below a provider is told of its budgets with a response."""
        return budget_headers(self.dialect, self._states, self.bridge.now())

    def add_known(self, **facts: Any) -> None:
        """Add details to the active request, under the names of `ActiveRequest`."""
        self.active_request = replace(self.active_request, **facts)

    @property
    def max_body_bytes(self) -> int:
        """The largest body that the request may have."""
        return self.bridge.settings.max_body_bytes if self.form is None else self.form.max_bytes

    def data_received(self, chunk: bytes) -> asyncio.Future[None] | None:
        """Collect the body up to its limit, or let it go on; return what to wait for before the next piece."""
        if self.form is not None:
            return self._receive(self.form, chunk)
        if len(self._body) + len(chunk) > self.bridge.settings.max_body_bytes:
            self._refuse(body_too_large(self.bridge.settings.max_body_bytes))
        else:
            self._body += chunk
        return None

    def _receive(self, form: IncomingForm, chunk: bytes) -> asyncio.Future[None] | None:
        try:
            room = form.feed(chunk)
        except Problem as problem:
            if self.progress.state is ARRIVING:
                self._refuse(problem)
            else:
                form.stream.fail(problem)
            return None
        if form.stage is Stage.READY:
            form.stage = Stage.GOING
            self._form_due = self.bridge.monotonic() + WHOLE_SECONDS
            serve_before_the_body(self, self._form_arrived)
        if form.stage is Stage.GOING:
            self._bound_form(self._form_due - self.bridge.monotonic() if room else PIECE_SECONDS)
            if room is not None:
                room.add_done_callback(lambda _: self._bound_form(PIECE_SECONDS))
        return room

    def _bound_form(self, seconds: float) -> None:
        """Bound the time until the next piece; while the provider takes nothing, it is not the client that is slow."""
        left = self._form_due - self.bridge.monotonic()
        self.cycle.set_body_timeout(max(min(seconds, left), 0.0))

    def _form_arrived(self, arrived: asyncio.Future[None]) -> None:
        if self.form is None or not self.progress.is_served or arrived.cancelled() or arrived.exception() is not None:
            return  # it did not arrive, or nobody waits for it
        try:
            self.form.end()
        except Problem as problem:
            self.form.stream.fail(problem)

    async def _run(self) -> None:
        if self.progress.state is OVER or self.cycle.closed:
            return  # refused or stopped while the body arrived; Tornado finishes what is not finished
        if self.form is not None and self.form.stage is not Stage.GOING:
            self.form.end()
        self.body = bytes(self._body)
        self._body = bytearray()
        self._work = work = cast("asyncio.Task[None]", asyncio.current_task())
        self.progress.move(SERVING)
        try:
            await self._service.serve(self)
            await self.in_step()
        except asyncio.CancelledError:
            if not self.progress.is_cancelled:
                raise
            work.uncancel()
            if self.stopped is EndReason.SERVER_SHUTDOWN:
                raise stopping() from None
        finally:
            del self._work  # it refers back
            if self.form is not None:
                self.form.stream.close()
            self.progress.move(SERVED)

    get = head = post = put = patch = delete = options = _run

    async def in_step(self) -> None:
        """Yield to other requests that are ready, if many are running.

        The same code then runs for all of them in a row, from the processor's caches. With 32 requests at a time,
        throughput is a sixth higher, at the cost of some iterations of the event loop. A request that is alone is not
        delayed.

        Raises:
            CancelledError: the request was stopped.
        """
        if self.bridge.lifecycle.in_flight >= MANY_REQUESTS:
            await asyncio.sleep(0)

    @property
    def stopped(self) -> EndReason | None:
        """Why the request was stopped; None if it was not, or if the client was given the whole response before."""
        return self.progress.stopped

    def stop(self, reason: EndReason) -> None:
        """End the request: the client left, or the server stops."""
        was_arriving = self.progress.state is ARRIVING
        self.progress.stop(reason)
        if self.progress.is_served:
            self._work.cancel()
        elif was_arriving:
            self.timer.over(None, self.active_request)
            if reason is EndReason.SERVER_SHUTDOWN:
                self.break_off()
            else:  # Tornado finishes no request whose body never came whole
                self.on_finish()

    def on_connection_close(self) -> None:
        """The client left."""
        super().on_connection_close()
        self.stop(EndReason.CLIENT_DISCONNECTED)

    def on_finish(self) -> None:
        """Give back what the request held."""
        super().on_finish()
        self.bridge.lifecycle.leave(self)
        if self.progress.state is not OVER:
            self.timer.over(self.get_status(), self.active_request)
        self.progress.move(OVER)

    def _refuse(self, problem: Problem) -> None:
        """Respond now, and give back what the request holds; of its body nothing more is wanted."""
        self._body.clear()
        if self.form is not None:
            self.form.stream.close()
        self.write_problem(problem)
        self.finish()

    def write_problem(self, problem: Problem) -> None:
        """Note a refusal, and add the headers that the dialect's clients read. Say where the time went."""
        if self.told_at_desk and isinstance(problem, OverloadedError):
            problem = worded(problem, self.dialect, self.bridge.now())
        self.name_contact(problem)
        if self.stand_in is not None:
            self.set_header(PROVIDER_HEADER, self.stand_in)
        if self.interception_id is not None:
            self.set_header(INTERCEPTION_HEADER, format_id(self.interception_id))
        else:
            self.note_refusal(problem)
        self.timer.enter(None)
        self.set_server_timing()
        if problem.status in FINAL_STATUSES:
            self.set_header(RETRY_HEADER, "false")
        dialect = self.dialect
        self.set_header(dialect.request_id_header, self.request_id)
        if dialect.error_type_header:
            self.set_header(dialect.error_type_header, getattr(dialect.error.of(problem.status, ""), "type", ""))
        super().write_problem(problem)

    def name_contact(self, problem: Problem) -> None:
        """Add whom to ask about a refusal by a policy or a budget, where the server knows it."""
        contact = self.bridge.settings.support_contact
        if contact and (problem.policy is not None or problem.rule in BUDGETS):
            problem.message += CONTACT.format(contact)

    def note_refusal(self, problem: Problem, *, shadow: bool = False) -> None:
        """Record and count a refusal that has a rule; of who has no valid token with the address.

        Args:
            problem: What the client is told.
            shadow: Whether the rule only counts, and refused nothing.
        """
        if problem.rule is None:
            return
        known, identity = self.active_request, getattr(self, "identity", None)
        self.bridge.note_refusal(
            Refusal(
                rule=problem.rule,
                status=problem.status,
                initiator_id=known.user_id,
                api_key_id=identity.token_id if identity else self.refused_token_id,
                client_ip=None if identity else client_key(self.client_ip),
                method=self.request.method,
                path=scrub_quoted(self.request.path[:READ_OF_PATH])[:KEPT_OF_PATH],
                provider=known.provider,
                route=known.route,
                model=known.model,
                retry_after_ms=problem.retry_after_ms,
                policy=problem.policy,
                shadow=shadow,
                message=problem.scrubbed().message[:KEPT_OF_MESSAGE],
                request_id=UUID(self.request_id),
            )
        )

    def note_shadow(self, states: Sequence[LimitState]) -> None:
        """Record what limits that only count would have refused."""
        for state in states:
            decision = Decision(None, (), state, state.retry_after_ns)
            self.note_refusal(refusal(state, decision, self.policy), shadow=True)

    def error_body(self, problem: Problem) -> bytes:
        """Errors speak the dialect of the route."""
        is_spent = problem.status == TOO_MANY_REQUESTS and problem.rule in BUDGETS
        status = BILLING if is_spent else problem.status
        return problem_body(self.dialect, status, problem.message, self.request_id, problem.retry_after_ms)

    def set_server_timing(self) -> None:
        """Add the header `Server-Timing` for the time so far, beside the provider's own."""
        if timing := self.timer.server_timing():
            self.add_header(SERVER_TIMING_HEADER, timing)

    def break_off(self, problem: Problem | None = None) -> None:
        """Close in the middle of the body.

        A stream that is between two events first gets an error event. If the provider cut the stream, nothing is
        added: the client sees what the bridge saw.
        """
        if problem is not None and problem.status != BAD_GATEWAY and self.gaps.has_room:
            self.cycle.write(problem_event(self.dialect, problem.status, problem.message, self.request_id))
        super().break_off(problem)
