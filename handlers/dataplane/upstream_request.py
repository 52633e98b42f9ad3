"""The request as it goes upstream: which key it has, which headers, and how often it is tried."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from handlers.dataplane.addresses import IN_ADDRESS
from handlers.dataplane.admission import deny_own_key
from handlers.dataplane.proxy import ProxyHandler
from handlers.identity.credentials import GOVERNANCE_HEADER, hides_token, own_headers
from handlers.key_health import report_change
from handlers.problems import Problem
from handlers.timer import UPSTREAM
from intercept.ids import format_id
from intercept.records import CredentialKind, ProviderError, Try
from intercept.refusals import Rule
from upstream.client import UpstreamError, UpstreamNotReachedError, UpstreamResponse, UpstreamTimeoutError
from upstream.credentials.access import Authorizer, credential_header, credential_hint
from upstream.credentials.keys import RATE_LIMITED, REFUSALS, UNAUTHORIZED, KeyPool, retry_after_seconds
from upstream.headers import BILLING, HANDSHAKE, Headers, is_named_like_credential, to_upstream
from upstream.providers.provider import (
    Provider,
    ProviderSource,
    of_the_whole,
    without_credentials,
    without_likely_credentials,
)
from upstream.routes import Route

logger = logging.getLogger(__name__)

# How often a request is sent to a provider that was not reached, and the pause in between, in seconds.
TRIES = 2
RETRY_PAUSE_SECONDS = 0.25
# How much of a refusal is read, where the body says more than the head.
MAX_REFUSAL_BYTES = 16 * 1024
ACTOR_ID_HEADER = "X-AI-Bridge-Actor-ID"
ACTOR_NAME_HEADER = "X-AI-Bridge-Actor-Metadata-Username"


class Destination(Struct, frozen=True):
    """Where a request is to go: `path` is what follows the provider, percent-encoded; `keys` are those of the provider."""

    provider: Provider
    route: Route
    path: str
    keys: KeyPool | None = None


class KeyStatus(Struct, frozen=True):
    """What a response says of a key: the status that counts for it, and after how many seconds to come back, if it says so."""

    status: int
    retry_after: float | None


class RankedResponse(Struct, frozen=True):
    """A response, the key that was sent, and the status that counts for that key."""

    response: UpstreamResponse
    key: str | None
    status: int


def check_destination(handler: ProxyHandler, to: Destination) -> None:
    """Check that the request of a user can be sent.

    Raises:
        Problem: 400 when the address has a token in it, or when the provider has no key and the client brought none.
    """
    query = handler.request.query
    if hides_token(without_credentials(query) if handler.query_key else query):
        raise Problem(400, IN_ADDRESS, rule=Rule.TOKEN_IN_ADDRESS)
    has_key = handler.credentials.own_key is not None or to.keys is not None
    if not has_key and to.provider.needs_key:
        message = no_key_message(to.provider, allow_byok=handler.bridge.settings.allow_byok)
        raise Problem(400, message, rule=Rule.NO_PROVIDER_KEY)


def no_key_message(provider: Provider, *, allow_byok: bool) -> str:
    """The message for a provider without a key.

    Claude Code shows "Not logged in" for any error that names X-Api-Key, so this one does not.
    """
    if provider.preset.is_own_key_only:
        return f"The provider {provider.name} takes your own credential: send it, and the token in {GOVERNANCE_HEADER}."
    if provider.preset.aws_service:
        keys = provider.keys_setting if provider.source is ProviderSource.ENVIRONMENT else "a key for it"
        return f"The provider {provider.name} has no AWS credentials: set {keys} on the server."
    if provider.source is ProviderSource.DATABASE:
        message = f"The provider {provider.name} has no API key: an owner of AI Bridge can give it one"
    else:
        message = f"The provider {provider.name} has no API key: set {provider.keys_setting} on the server"
    own = f", or send your own key, and the token in {GOVERNANCE_HEADER}"
    return message + (own if allow_byok else "") + "."


def upstream_problem(handler: ProxyHandler, provider: Provider, error: UpstreamError) -> Problem:
    """The problem for a provider without a response, or without a complete one."""
    handler.bridge.provider_log.failed(provider.name, str(error))
    status = 504 if isinstance(error, UpstreamTimeoutError) else 502
    return Problem(status, f"{provider.name}: {error}.")


class UpstreamRequest:
    """Sends the request of a handler. Its key is chosen at once, unless the client brought one or the provider needs none.

    Args:
        handler: Has the request, whose body is complete.
        to: The destination.
        model: What a 429 of the provider is about: the name of a model, or a route that names none.
        upgrade: Headers that request another protocol.
        tries: Collects every try.
        is_again: Whether the bridge fetches the whole for itself, whatever the client asked of it.

    Attributes:
        provider: Where it is to go.
        sent_at: When it was last handed to the upstream; None while it was not.
        is_plain: Whether the body is sent without the encoding that the client gave it.
    """

    def __init__(
        self,
        handler: ProxyHandler,
        to: Destination,
        *,
        model: str,
        upgrade: Sequence[tuple[str, str]] = (),
        tries: list[Try] | None = None,
        is_again: bool = False,
    ) -> None:
        self.provider = to.provider
        self.sent_at: datetime | None = None
        self.is_plain = False
        self._handler = handler
        self._to = to
        self._model = model
        self._upgrade = upgrade
        self._tries = tries
        self._method = "GET" if is_again else handler.request.method or "GET"
        self._query = of_the_whole(handler.request.query) if is_again else handler.request.query
        self._own_key = handler.credentials.own_key
        # Somebody who may bring no key of theirs brings none under another name either.
        self._drops_keys = deny_own_key(handler) is not None
        if self._drops_keys:
            self._query = without_likely_credentials(self._query)
        self._pool = to.keys
        self._key = self._pool.pick(model) if self._pool is not None and self._own_key is None else None

    @property
    def credential_kind(self) -> CredentialKind:
        """Whose credential goes upstream."""
        return CredentialKind.CENTRALIZED if self._own_key is None else CredentialKind.BYOK

    @property
    def credential_hint(self) -> str:
        """A hint of that credential, to recognise it; empty without one."""
        secret = self._own_key or self._key
        if secret:
            return credential_hint(secret)
        return "" if self._authorizer is None else self._authorizer.hint

    async def open(self) -> UpstreamResponse:
        """Send the request with its body unchanged, wait for the head of the response, and drop the body.

        If the provider refuses the key, the next one is tried, each once. The last response counts, also if the try after
        it failed. The one exception: a 401 to another key does not replace a 429. Waiting helps against a 429, and a client
        that gets a 401 would not wait. A form that is sent while it arrives is sent once, so its first response counts.

        Raises:
            UpstreamError: there was no response.
        """
        best: RankedResponse | None = None
        tried: list[str] = []
        try:
            while True:
                try:
                    response = await self._send()
                    key_status = await self._key_status(response)
                except UpstreamError:
                    if best is None:
                        raise
                    break
                if best is not None and (best.status, key_status.status) == (RATE_LIMITED, UNAUTHORIZED):
                    response.close()
                else:
                    if best is not None:
                        best.response.close()
                    best = RankedResponse(response, self._key, key_status.status)
                if (other := self._other_key(key_status, tried)) is None or self._is_form_sent:
                    break
                self._key = other
            self._key = best.key
            response, best = best.response, None
            return response
        finally:
            self._handler.body = b""
            if best is not None:
                best.response.close()

    @property
    def _is_form_sent(self) -> bool:
        """Whether a part of a form has been sent: nothing is sent twice. The next call has another key."""
        return self._handler.form is not None and self._handler.form.stream.has_begun

    async def _send(self) -> UpstreamResponse:
        """Send, and once more if nothing of the request was sent: what a provider got is never sent again."""
        for _ in range(TRIES - 1):
            with suppress(UpstreamNotReachedError):
                return await self._send_once()
            self._handler.bridge.metrics.retries(self._to.provider.name).inc()
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
        return await self._send_once()

    async def _send_once(self) -> UpstreamResponse:
        handler, provider = self._handler, self._to.provider
        bridge, method = handler.bridge, self._method
        url = provider.url(self._to.path, self._query)
        self.sent_at = bridge.now()
        handler.timer.enter(UPSTREAM)
        status, failure = None, None
        try:
            headers = handler.timer.outgoing(self._choose_headers())
            if self._authorizer is not None:
                headers += await self._authorizer.authorize(method, url, headers, handler.body)
            response = await bridge.upstream.open(
                *(method, url, headers, handler.body if handler.form is None else handler.form.stream),
                network=provider.network,
                upgrades=bool(self._upgrade),
            )
            status = response.status
        except UpstreamError as error:
            failure = ProviderError(type=error.end_reason.value, message=str(error))
            raise
        finally:
            waited = handler.timer.enter(None)
            if self._tries is not None:
                self._tries.append(
                    Try(
                        provider_name=provider.name,
                        credential_hint=self.credential_hint,
                        status=status,
                        error=failure,
                        seconds=waited,
                    )
                )
        bridge.metrics.upstream_head(provider.name).observe(waited)
        if response.connecting is not None:
            handler.timer.connected(response.connecting)
        return response

    def _choose_headers(self) -> Headers:
        handler = self._handler
        settings, received = handler.bridge.settings, handler.request.headers
        if self._own_key is not None:
            credentials = own_headers(received, handler.query_key, handler.protocol_key)
        else:
            credentials = [] if self._key is None else [credential_header(self._to.provider.expects, self._key)]
        ours = self._key is not None or self._authorizer is not None
        ours_pays = ours and not settings.allow_billing_headers
        dropped = BILLING if ours_pays else frozenset()
        if settings.auth_proxy_header:
            dropped |= {settings.auth_proxy_header.lower()}
        if self._upgrade:
            dropped |= HANDSHAKE
        if self.is_plain:
            dropped |= {"content-encoding"}
        given = [one for one in received.get_all() if not (self._drops_keys and is_named_like_credential(one[0]))]
        headers = to_upstream(given, credentials, dropped=dropped, is_secret=hides_token)
        headers += self._upgrade
        if settings.send_actor_headers:
            user = handler.identity.user
            headers += [(ACTOR_ID_HEADER, format_id(user.id)), (ACTOR_NAME_HEADER, user.username)]
        return headers

    @property
    def _authorizer(self) -> Authorizer | None:
        """Adds the bridge's credential if it is not a key."""
        return None if self._own_key is not None or self._key is not None else self._to.provider.authorizer

    async def _key_status(self, response: UpstreamResponse) -> KeyStatus:
        """What a response means for the key that was sent. Google says some of it only in the body."""
        status, dialect = response.status, self._to.route.dialect
        explains_in_body = self._key is not None and status in dialect.explaining_statuses
        if status not in REFUSALS and not explains_in_body:
            return KeyStatus(status, None)
        retry_after = retry_after_seconds(
            response.header("retry-after-ms"), response.header("Retry-After"), self._handler.bridge.now().timestamp()
        )
        if not explains_in_body:
            return KeyStatus(status, retry_after)
        said = dialect.read_refusal(await response.peek(MAX_REFUSAL_BYTES))
        return KeyStatus(UNAUTHORIZED if said.is_invalid_key else status, said.retry_after or retry_after)

    def _other_key(self, key_status: KeyStatus, tried: list[str]) -> str | None:
        """The key for another try after this response; None if the response counts. Adds the sent key to `tried`."""
        key, pool, provider, bridge = self._key, self._pool, self._to.provider, self._handler.bridge
        if key is None or pool is None:
            return None
        if (change := pool.note(key, self._model, key_status.status)) is not None:
            report_change(provider, key, change, bridge.metrics)
        tried.append(key)
        if (
            key_status.status not in REFUSALS
            or (other := pool.find_other(self._model, tried, key_status.status)) is None
        ):
            return None
        seconds = pool.cool_down(key, self._model, key_status.status, key_status.retry_after)
        logger.info(
            "key cooling down: provider=%s key=%s status=%d seconds=%.1f",
            *(provider.name, credential_hint(key), key_status.status, seconds),
        )
        return other
