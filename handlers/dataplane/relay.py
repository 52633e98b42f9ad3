"""The relay: a request goes upstream and its answer comes back, byte for byte, each as soon as it is there."""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from contextlib import suppress
from datetime import datetime

from msgspec.structs import replace
from tornado.iostream import StreamClosedError

from handlers.bridge import Bridge
from handlers.credentials import GOVERNANCE_HEADER, hides_token, own_headers
from handlers.dataplane.addresses import IN_ADDRESS
from handlers.dataplane.admission import RETRY_HEADER, DataPlaneHandler
from handlers.dataplane.pings import PINGS, Pings
from handlers.dataplane.states import Event
from handlers.key_health import report_change
from handlers.problems import Problem, problem_event
from handlers.timer import RELAY, UPSTREAM
from http1.headers import add_checked
from intercept.apis import Dialect
from intercept.dialects.stream_usage import UsageChunkFilter
from intercept.ids import format_id
from intercept.records import CredentialKind, EndReason
from intercept.refusals import Rule
from upstream.access import Authorizer, credential_header, credential_hint
from upstream.client import UpstreamError, UpstreamNotReachedError, UpstreamResponse, UpstreamTimeoutError
from upstream.headers import BILLING, Headers, to_client, to_upstream
from upstream.idle_timer import IdleTimer
from upstream.keys import REFUSALS, UNAUTHORIZED, KeyPool, retry_after_seconds
from upstream.providers import Provider
from upstream.routes import Route

logger = logging.getLogger(__name__)

NO_CONTENT = 204
BAD_GATEWAY = 502
# How often a provider that was not reached is asked altogether, and the pause in between, in seconds.
TRIES = 2
RETRY_PAUSE_SECONDS = 0.25
# A client has to take each piece of an answer within this time; one that reads nothing would hold its slot for ever.
TAKE_SECONDS = 300.0
# Headers of a stream in which nothing can be put between two events.
_WITHOUT_ROOM = {"Content-Length", "Content-Encoding"}
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
ACTOR_ID_HEADER = "X-AI-Bridge-Actor-ID"
ACTOR_NAME_HEADER = "X-AI-Bridge-Actor-Metadata-Username"


def no_key_message(provider: Provider, *, allow_byok: bool) -> str:
    """What to tell who calls a provider that the bridge has no key for.

    Claude Code shows "Not logged in" in the place of any error that names X-Api-Key, so this one does not.
    """
    if provider.preset.is_own_key_only:
        return f"The provider {provider.name} takes your own credential: send it, and the token in {GOVERNANCE_HEADER}."
    own = f", or send your own key, and the token in {GOVERNANCE_HEADER}"
    message = f"The provider {provider.name} has no API key: set {provider.keys_setting} on the server"
    return message + (own if allow_byok else "") + "."


class RelayHandler(DataPlaneHandler):
    """Sends a request upstream and relays the answer. Subclasses say what is watched and kept."""

    usage_filter: UsageChunkFilter | None = None
    """What takes the usage out of a stream whose client did not ask for it."""
    _event_stream = False
    _relayed_end = b""
    _taken: Future[None] | None = None
    _pinged: Future[None] | None = None
    _key: str | None = None
    _model = ""
    _asked_at: datetime | None = None

    def initialize(  # type: ignore[override]
        self, bridge: Bridge, dialect: Dialect, provider: Provider, route: Route, path: str
    ) -> None:
        """Receive where the request is to go: `path` is what follows the provider, percent-encoded."""
        super().initialize(bridge, dialect)
        self.provider = provider
        self.route = route
        self.path = path
        self._active_request = replace(self._active_request, provider=provider.name, route=route.pattern)

    @property
    def credential_kind(self) -> CredentialKind:
        """Whose credential goes upstream."""
        return CredentialKind.CENTRALIZED if self.credentials.own_key is None else CredentialKind.BYOK

    @property
    def credential_hint(self) -> str:
        """Enough of that credential to recognise it by; empty when there is none."""
        secret = self.credentials.own_key or self._key
        return credential_hint(secret) if secret else ""

    async def admit(self) -> None:
        """Admit, but refuse what no credential can be found for.

        Raises:
            Problem: 400 when the address has a token in it, or when the provider has no key and the client brought none,
                and as before.
            OverloadedError: concurrency or rate.
        """
        await super().admit()
        if hides_token(self.request.query):
            raise Problem(400, IN_ADDRESS, rule=Rule.TOKEN_IN_ADDRESS)
        if self.credentials.own_key is None and self._pool is None and self.provider.needs_key:
            message = no_key_message(self.provider, allow_byok=self.bridge.options.allow_byok)
            raise Problem(400, message, rule=Rule.NO_PROVIDER_KEY)

    def choose_key(self, model: str) -> None:
        """Choose the bridge's key for a call, unless the client brought its own or the provider needs none.

        Args:
            model: What a 429 of the provider is about: the name of a model, or a route that names none.
        """
        self._model = model
        if self._pool is not None and self.credentials.own_key is None:
            self._key = self._pool.pick(model)

    async def open_upstream(self) -> UpstreamResponse:
        """Send the request with its body unchanged and wait for the head of the answer; then the body is let go.

        While the provider refuses the key that was sent, the next one is tried, each once. The answer is the last one
        that the provider gave: also where it could not be asked again with another key.

        Raises:
            UpstreamError: none came.
        """
        refused: UpstreamResponse | None = None
        tried: list[str] = []
        try:
            response = await self._ask()
            while (other := self._other_key(response, tried)) is not None:
                refused, key, self._key = response, self._key, other
                try:
                    response = await self._ask()
                except UpstreamError:
                    response, refused, self._key = refused, None, key
                    break
                refused.close()
            return response
        finally:
            self.body = b""
            if refused is not None:
                refused.close()

    def watch(self, piece: bytes) -> bool:  # noqa: ARG002 - for subclasses
        """Look at a piece of the answer that was passed on; whether the next one may come, else after `catch_up`."""
        return True

    async def catch_up(self) -> None:
        """Finish looking at the pieces so far, with pauses in which the event loop serves others."""

    async def relay(self, response: UpstreamResponse) -> None:
        """Move the answer to the client, each piece in the turn of the event loop in which it comes, then `watch` it.

        The client not taking a piece is what holds the next one back; for too long, and it is taken to have left. Silence
        of the upstream is no matter of this: then there is nothing to take. Catching up holds the next piece back too.

        Raises:
            UpstreamError: the upstream broke off; nothing has been ended on the client's side yet.
        """

        def pass_on(piece: bytes) -> bool:
            shown = piece if usage_filter is None else usage_filter.feed(piece)
            if shown:
                self._taken = self.cycle.write(shown)
                self._relayed_end = shown[-4:]
            return self.watch(piece) and self.delivered

        self._write_head(response)
        usage_filter = self.usage_filter if response.has_events else None
        if usage_filter is not None:
            self.clear_header("Content-Length")
        self.timer.enter(RELAY)
        idle_timer = IdleTimer(TAKE_SECONDS, self._abandon)
        pings = Pings(self.bridge.options.keepalive_seconds, self._ping)
        try:
            first = response.ready()  # what has come with the head leaves with it
            shown = first if usage_filter is None else usage_filter.feed(first)
            self.write(shown)
            self._taken = self.flush()
            caught_up = not first or self.watch(first)
            self._relayed_end = shown[-4:]
            sink = pings.before(pass_on)
            while not (caught_up and self.delivered and await response.stream_to(sink)):
                with idle_timer:
                    await self._taken
                await self.catch_up()
                caught_up = True
            if usage_filter is not None and (rest := usage_filter.end()):
                self._taken = self.cycle.write(rest)
                with idle_timer:
                    await self._taken
            self.move(Event.RELAY_ENDS)
        except StreamClosedError:
            self.stop(EndReason.CLIENT_DISCONNECTED)
        finally:
            idle_timer.close()
            pings.close()

    @property
    def delivered(self) -> bool:
        """Whether the client has taken all that was written of the provider's answer."""
        taken = self._taken
        return taken is not None and taken.done() and not taken.cancelled() and taken.exception() is None

    def upstream_problem(self, error: UpstreamError) -> Problem:
        """What to tell a client whose upstream gave no answer, or no whole one."""
        self.bridge.provider_log.failed(self.provider.name, str(error))
        status = 504 if isinstance(error, UpstreamTimeoutError) else 502
        return Problem(status, f"{self.provider.name}: {error}.")

    def break_off(self, problem: Problem | None = None) -> None:
        """Close in the middle of the body; a stream that stands between two events is first told why.

        Where the upstream cut the stream there is nothing to add: the client sees what the bridge saw.
        """
        if problem is not None and problem.status != BAD_GATEWAY and self._has_room:
            event = problem_event(self.dialect, problem.status, problem.message, self.request_id)
            self.cycle.write(event)
        super().break_off(problem)

    @property
    def _has_room(self) -> bool:
        """Whether an event of the bridge's own may stand here: between two of a stream whose end is open."""
        between_events = self._event_stream and self._relayed_end.endswith(_BLANK_LINES)
        return between_events and not self._headers.keys() & _WITHOUT_ROOM

    def _ping(self) -> None:
        """Say that the stream is alive, unless the client has yet to take what came before, a ping included."""
        if self._has_room and self.delivered and (self._pinged is None or self._pinged.done()):
            self._pinged = self.cycle.write(PINGS[self.dialect])

    def _abandon(self) -> None:
        """Give up a client that takes nothing."""
        self.stop(EndReason.CLIENT_DISCONNECTED)
        self.break_off()

    async def _ask(self) -> UpstreamResponse:
        """Ask, and once more where nothing of the request was sent: what a provider got is never sent again."""
        for _ in range(TRIES - 1):
            with suppress(UpstreamNotReachedError):
                return await self._ask_once()
            self.bridge.metrics.asked_again(self.provider.name)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
        return await self._ask_once()

    async def _ask_once(self) -> UpstreamResponse:
        url = self.provider.url(self.path, self.request.query)
        self._asked_at = self.bridge.now()
        self.timer.enter(UPSTREAM)
        try:
            headers = self.timer.outgoing(self._upstream_headers())
            if self._authorizer is not None:
                headers += await self._authorizer.authorize(self.request.method or "GET", url, headers, self.body)
            response = await self.bridge.upstream.open(self.request.method or "GET", url, headers, self.body)
        finally:
            waited = self.timer.enter(None)
        self.bridge.metrics.answered(self.provider.name, waited)
        return response

    def _upstream_headers(self) -> Headers:
        if self.credentials.own_key is not None:
            credentials = own_headers(self.request.headers)
        else:
            credentials = [] if self._key is None else [credential_header(self.provider.expects, self._key)]
        ours = self._key is not None or self._authorizer is not None
        ours_pays = ours and not self.bridge.options.allow_billing_headers
        dropped = BILLING if ours_pays else frozenset()
        sent = self.request.headers.get_all()
        headers = to_upstream(sent, credentials, dropped=dropped, is_secret=hides_token)
        if self.bridge.options.send_actor_headers:
            user = self.identity.user
            headers += [(ACTOR_ID_HEADER, format_id(user.id)), (ACTOR_NAME_HEADER, user.username)]
        return headers

    @property
    def _authorizer(self) -> Authorizer | None:
        """What lets the request have the bridge's credential, where that is no key."""
        own = self.credentials.own_key is not None or self._key is not None
        return None if own else self.provider.authorizer

    @property
    def _pool(self) -> KeyPool | None:
        return self.bridge.key_pools.get(self.provider.name)

    def _other_key(self, response: UpstreamResponse, tried: list[str]) -> str | None:
        """The key to ask with again after this answer; None when it is the answer. The key that was sent is `tried` then."""
        key, pool = self._key, self._pool
        if key is None or pool is None:
            return None
        if (change := pool.note(key, self._model, response.status)) is not None:
            report_change(self.provider, key, change, self.bridge.metrics)
        tried.append(key)
        if response.status not in REFUSALS or (other := pool.find_other(self._model, tried)) is None:
            return None
        retry_after = retry_after_seconds(
            response.header("retry-after-ms"), response.header("Retry-After"), self.bridge.now().timestamp()
        )
        seconds = pool.cool_down(key, self._model, response.status, retry_after)
        logger.info(
            "key cooling down: provider=%s key=%s status=%d seconds=%.1f",
            *(self.provider.name, credential_hint(key), response.status, seconds),
        )
        return other

    def _write_head(self, response: UpstreamResponse) -> None:
        self._event_stream = response.is_event_stream
        self.set_status(response.status, response.reason)
        for name, value in to_client(response.headers, tuple(self._headers)):
            add_checked(self._headers, name, value)
        if response.status == UNAUTHORIZED and self.credentials.own_key is None and not response.header(RETRY_HEADER):
            self.set_header(RETRY_HEADER, "false")
        self.tell_timing()
        if response.status == NO_CONTENT:
            self.clear_header("Content-Length")
        if self._event_stream:
            self.set_header("Cache-Control", "no-cache, no-transform")
            self.set_header("X-Accel-Buffering", "no")
