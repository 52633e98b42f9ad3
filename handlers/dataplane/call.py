"""One call: its start, what it has used so far, and its end, however its response comes.

The response may come over HTTP or a WebSocket, or be told by what is fetched later. In each case the call is recorded once and
charged once, and a start that was recorded gets one end, whatever happens.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from handlers.dataplane.policy import check_policy, refuse_odd_count
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Watcher
from handlers.identity.credentials import secrets_of
from handlers.monitoring.metrics import Spent
from handlers.problems import Problem
from intercept.apis import EVENTS, Api, Reader, RequestedModels, RequestSummary
from intercept.catalog import DIALECTS
from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.dialects.readers import ErrorReader
from intercept.endings import FIRST_REDIRECT, FIRST_SUCCESS, end_reason, settled
from intercept.formats.content_encoding import decoded
from intercept.records import Connecting, Ending, EndReason, ProviderError, Reading, StartRecord, TokenUsage
from intercept.refusals import Rule
from intercept.restricted_texts import MAX_SPLIT, without_restricted_texts, without_restricted_words
from intercept.secrets import scrub, scrub_value
from limits.limit import NOTHING, Amounts, amounts_of, remaining
from storage.accounts.groups import names_together
from storage.prices.pricing import Cost
from storage.recording.recorder import RecordingUnavailableError
from upstream.client import UpstreamResponse
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider

logger = logging.getLogger(__name__)
# Records as log lines, for log collectors: one JSON object per record.
record_log = logging.getLogger("aibridge.records")

NOT_RECORDABLE = "The call cannot be recorded at the moment, so it was not made. Please try again later."
RESERVED = "its tokens are reserved"
# What a long stream has used so far is written down this often, for the case that the server dies.
CHECKPOINT_SECONDS = 5.0
REQUEST_ID_CHARACTERS = 256
# By which providers name a request: those of each dialect, and of Azure.
REQUEST_ID_HEADERS = (*dict.fromkeys(dialect.request_id_header for dialect in DIALECTS), "apim-request-id")
# Where they say what kind of error it is; an address may follow behind a colon.
ERROR_TYPE_HEADERS = tuple(dialect.error_type_header for dialect in DIALECTS if dialect.error_type_header)


class Charged(Protocol):
    """What holds the slots and reservations of a call: its handler, or what stands for one of several calls of a handler."""

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the call uses."""

    async def count_call(self, reserve: Callable[[], Amounts]) -> None:
        """Count the call for the limits that need its body; see `OverloadProtection.count_call`."""

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the call has used since its start."""


class _NoReader:
    """Reads nothing. Used while there is no reader, or after one has failed."""

    def __init__(self, nothing: Reading) -> None:
        self._nothing = nothing

    def feed(self, chunk: bytes) -> None:
        """Read nothing."""

    def result(self) -> Reading:
        """Return what is known without a reader."""
        return self._nothing


NOT_BEGUN = _NoReader(Reading())
# A call whose reader failed is as complete as its connection.
DROPPED = _NoReader(Reading(open_ended=True))


class Call(Watcher):
    """A call, which watches its response.

    A call that the bridge makes is presented to the limits (`count`), recorded (`begin`), and then made. `end` is called once
    it is over. Of a reader that fails the relay never notices: it is dropped.

    Args:
        handler: Of its connection.
        start: Its start record.
        api: How its response is read.
        charged: What holds its slots and reservations; the handler unless given.

    Attributes:
        start: The start record without secrets, with the provider that responds.
        status: The status of the response; None before its head.
    """

    def __init__(self, handler: ProxyHandler, start: StartRecord, api: Api, charged: Charged | None = None) -> None:
        bridge = handler.bridge
        self._handler = handler
        self._bridge = bridge
        self._api = api
        self._charged = charged or handler
        self._secrets = bridge.secrets.together_with(secrets_of(handler.credentials))
        self.start: StartRecord = self._secrets.hide(start)
        self.status: int | None = None
        self._first_provider = start.provider_name
        self._reader: Reader = NOT_BEGUN
        self._priced_by_response = False
        self._first_byte_at: datetime | None = None
        self._request_id: str | None = None
        self._interruption: EndReason | None = None
        self._error: ProviderError | None = None
        self._connecting: Connecting | None = None
        self._max_output = 0
        self._reserved = NOTHING
        self._checkpoint_due = math.inf
        self._id_due = 0.0
        self._is_over = False

    async def count(self, summary: RequestSummary, requested_models: RequestedModels = RequestedModels.ONE) -> None:
        """Present the call to policies, and to the limits that need its body.

        Raises:
            Problem: 429 or 403, a limit refuses it; 403 or 400, a policy does; 400, what is to be reserved cannot be read.
        """
        self._max_output = summary.max_output_tokens or 0
        check_policy(self._handler, self.start, summary, requested_models)
        await self._charged.count_call(partial(self._reserve, summary))

    def _reserve(self, summary: RequestSummary) -> Amounts:
        refuse_odd_count(summary, RESERVED)
        usages = (TokenUsage(provider_response_id="", output_tokens=self._max_output),)
        cost = self._bridge.recorder.cost(self.start, Reading(token_usages=usages))
        self._reserved = self._amounts(usages, cost)
        return self._reserved

    async def begin(self, *, is_made: bool = False) -> None:
        """Record the start, before the call is made. One that is made already is recorded at its end if it cannot be now.

        Raises:
            Problem: 503, it cannot be recorded.
        """
        recorder = self._bridge.recorder
        try:
            await recorder.start(self.start)
        except RecordingUnavailableError as error:
            if not is_made:
                raise Problem(503, NOT_RECORDABLE, {"Retry-After": "1"}, rule=Rule.NOT_RECORDABLE) from error
            logger.warning("a response that began by itself is recorded when it ends: %s", error)
        except asyncio.CancelledError:
            # It may be recorded all the same, so it gets its end.
            self._is_over = True
            recorder.end(self.start, self.ending(self._handler.stopped))
            raise
        self._bridge.metrics.started(self.start)
        if self._bridge.settings.structured_logging:
            log_start(self.start)

    def head(self, response: UpstreamResponse) -> None:
        """The provider's response began. Its content type chooses the reader."""
        self._connecting = response.connecting
        self.status = response.status
        request_id = next(filter(None, map(response.header, REQUEST_ID_HEADERS)), "")
        self._request_id = request_id[:REQUEST_ID_CHARACTERS] or None
        self._reader = decoded(self._reader_for(response), response.header("Content-Encoding"))

    def accept(self, status: int) -> None:
        """The provider takes the request on a connection where no head comes before the events."""
        self.status = status
        self._reader = self._api.reader_for(EVENTS, keep_text=self.start.keeps_response)

    def answered_by(self, provider: Provider) -> None:
        """Attribute the call to the provider that responds: it decides what the call costs.

        Azure's deployments have names of their operator's own, so where one has no price the response says which model it is.
        """
        start, prices = self.start, self._bridge.pricing
        if provider.name != start.provider_name:
            self._bridge.metrics.moved(start, provider.name)
            self.start = replace(start, provider=provider.type.value, provider_name=provider.name)
        self._priced_by_response = provider.type is ProviderType.AZURE and not prices.has_price(
            provider.name, start.model, start.started_at
        )

    def watch(self, piece: bytes) -> bool:
        """Read a piece of the response. A checkpoint that is due is for `catch_up`."""
        if self._first_byte_at is None:
            self._first_byte_at = self._bridge.now()
        try:
            self._reader.feed(piece)
        except Exception as error:  # noqa: BLE001 - whatever a reader does, the relay goes on
            self._drop_reader(error)
        return self._bridge.monotonic() < self._checkpoint_due

    def expect_checkpoints(self, *, awaits_id: bool = False) -> None:
        """Write down from now on what was used so far: at once where the id of a response in the background is waited for."""
        self._id_due = self._bridge.monotonic() + CHECKPOINT_SECONDS
        self._checkpoint_due = 0.0 if awaits_id else self._id_due

    async def catch_up(self) -> None:
        """Write a checkpoint where one is due, and charge what was used so far."""
        now = self._bridge.monotonic()
        if now < self._checkpoint_due:
            return
        reading = self.reading()
        if not self._checkpoint_due and not reading.response_id and now < self._id_due:
            return
        self._checkpoint_due = now + CHECKPOINT_SECONDS
        self._charge(reading, self._bridge.recorder.checkpoint(self.start, reading))

    async def wants_rest(self) -> bool:
        """Whether the usage may come at once: of a body always, as it is whole before it is sent; of a stream between parts.

        Where a limit counts what the call uses, a client that leaves anywhere is to be charged.
        """
        if not self.start.streaming:
            return True
        reading = self.reading()
        return reading.open_ended or reading.between_parts or self._charged.is_charged

    def failed(self, reason: EndReason, error: Exception, kind: str = "") -> None:
        """The exchange broke off, or never began; `kind` is the type of the error that is recorded, the reason unless given."""
        self._interruption = reason
        self._error = ProviderError(type=kind or reason.value, message=str(error))

    def reading(self) -> Reading:
        """What the bytes so far amount to, as it may be recorded."""
        return self._secrets.hide(self._read())

    def ending(
        self,
        stopped: EndReason | None = None,
        *,
        undelivered: bool = False,
        reading: Reading | None = None,
        **facts: Any,
    ) -> Ending:
        """Make the end record.

        Args:
            stopped: Why the bridge itself stopped the call; None if it did not.
            undelivered: Whether bytes arrived that the client has not read.
            reading: What the response amounts to; what was watched of it unless given.
            facts: What else is known of the call, under the names of `Ending`.
        """
        reading = reading or self._read()
        interruption = stopped or self._interruption
        reason = end_reason(status=self.status, reading=reading, interruption=interruption, undelivered=undelivered)
        has_moved = self.start.provider_name != self._first_provider
        ending = Ending(
            interception_id=self.start.id,
            end_reason=reason,
            ended_at=self._bridge.now(),
            first_byte_at=self._first_byte_at,
            upstream_status=self.status,
            upstream_request_id=self._request_id,
            error=self._scrubbed(reading.error or self._error),
            provider=self.start.provider if has_moved else "",
            provider_name=self.start.provider_name if has_moved else "",
            connecting=self._connecting,
            reading=settled(reading, reason),
            **facts,
        )
        return self._secrets.hide(ending)

    def end(self, ending: Ending) -> None:
        """Record, count, charge and log the end. Never waits. Of a call that is over it does nothing."""
        if self._is_over:
            return
        self._is_over = True
        bridge, start = self._bridge, self.start
        bridge.fetched.ended(start, ending)
        cost = bridge.recorder.end(start, ending)
        group_names = names_together(bridge.group_names.value, start.group_ids)
        spent = Spent(self._handler.identity.user.username, group_names, cost and cost.usd)
        bridge.metrics.ended(start, ending, spent)
        if bridge.settings.structured_logging:
            log_end(start, ending)
        self._charge(ending.reading, cost)

    def _charge(self, reading: Reading, cost: Cost | None) -> None:
        """Charge the usage so far, and reserve no more than the call may still use."""
        usages = reading.token_usages
        if usages and self._charged.is_charged:
            self._charged.charge(self._amounts(usages, cost), remaining(self._reserved, self._max_output, usages))

    def _amounts(self, usages: Sequence[TokenUsage], cost: Cost | None) -> Amounts:
        return amounts_of(usages, cost and cost.usd, cache_reads=self._bridge.overload.settings.count_cache_reads)

    def _read(self) -> Reading:
        try:
            reading = self._reader.result()
            if not self._priced_by_response:
                return reading
            usages = [replace(one, model=one.model or reading.model) for one in reading.token_usages]
            return replace(reading, token_usages=tuple(usages))
        except Exception as error:  # noqa: BLE001 - whatever a reader does, the relay goes on
            self._drop_reader(error)
            return self._read()

    def _reader_for(self, response: UpstreamResponse) -> Reader:
        if not FIRST_SUCCESS <= response.status < FIRST_REDIRECT:
            kind = next(filter(None, map(response.header, ERROR_TYPE_HEADERS)), "")
            return ErrorReader(kind.partition(":")[0])
        return self._api.reader_for(response.content_type, response.header, keep_text=self.start.keeps_response)

    def _drop_reader(self, error: Exception) -> None:
        self._reader = DROPPED
        names = (self.start.id, self._api.name)
        logger.error("a reader failed and was dropped: interception=%s api=%s", *names, exc_info=error)

    def _scrubbed(self, error: ProviderError | None) -> ProviderError | None:
        """The error without credentials: providers repeat them in their messages."""
        if error is None:
            return None
        is_cut = len(error.message) >= MAX_ERROR_MESSAGE  # perhaps within a credential
        return replace(error, message=scrub(error.message[:-MAX_SPLIT] if is_cut else error.message))


def log_start(interception: StartRecord) -> None:
    """Log that a call was recorded and goes upstream. Of a text that a policy restricts in any way, nothing is logged."""
    start = msgspec.to_builtins(without_restricted_texts(interception))
    del start["recording"]
    prompt = start.pop("user_prompt")
    del start["conversation"]  # digests, of use to the database alone
    start["interception_id"] = start.pop("id")
    _log("interception_started", start)
    if prompt is not None:
        _log("user_prompt", {"interception_id": start["interception_id"], **prompt})


def log_end(interception: StartRecord, ending: Ending) -> None:
    """Log the end of a call; the lines about its response come first."""
    end = msgspec.to_builtins(without_restricted_words(interception.recording, ending))
    reading = end.pop("reading")
    for name in ("provider", "provider_name", "tries"):
        if not end[name]:
            del end[name]  # as at the start, and only one
    about = {"interception_id": end["interception_id"]}
    for kind in ("token_usage", "tool_usage", "model_thought"):
        for record in reading[kind + "s"]:
            _log(kind, about | record)
    if (response := reading["response"]) is not None:
        _log("model_response", about | response)
    _log("interception_ended", end | {"status": ending.end_reason.status.value})


def _log(kind: str, record: dict[str, Any]) -> None:
    record_log.info("%s", msgspec.json.encode({"record": kind, **scrub_value(record)}).decode())
