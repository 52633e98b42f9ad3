"""What the bridge saw of one recorded exchange, from the upstream's head to whatever ended it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from intercept.apis import EVENTS, Api, Reader
from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.endings import FIRST_REDIRECT, FIRST_SUCCESS, end_reason, settled
from intercept.formats.content_encoding import decoded
from intercept.formats.error_body import ErrorReader
from intercept.records import Connecting, Ending, EndReason, ProviderError, Reading, Try
from intercept.restricted_texts import MAX_SPLIT
from intercept.secrets.known import KnownSecrets
from intercept.secrets.scrub import scrub
from limits.protection.circuit_breaker import CircuitOpenError
from upstream.client import UpstreamError, UpstreamResponse
from upstream.providers.provider import Provider

logger = logging.getLogger(__name__)

REQUEST_ID_CHARACTERS = 256
# By which providers name a request: Anthropic, OpenAI and most others, Azure, Amazon.
REQUEST_ID_HEADERS = ("request-id", "x-request-id", "apim-request-id", "x-amzn-requestid")

# The type of the error of a request that turned out to be none.
INVALID_REQUEST = "invalid_request"

# Where Amazon says what kind of error it is; an address may follow behind a colon.
ERROR_TYPE_HEADER = "x-amzn-errortype"


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


class Observation:
    """Watches one call and makes its end record. A reader that fails is dropped; the relay never notices.

    Args:
        interception_id: Of the start record.
        api: How the response is read.
        now: The wall clock in UTC.
        secrets: Secrets that are replaced in all recorded texts.
        keep_text: Whether the text of the response is recorded.

    Attributes:
        priced_by_response: Whether its tokens are of the model that the response names, whatever was requested.
    """

    def __init__(
        self,
        interception_id: UUID,
        api: Api,
        *,
        now: Callable[[], datetime],
        secrets: KnownSecrets,
        keep_text: bool = False,
    ) -> None:
        self.interception_id = interception_id
        self.priced_by_response = False
        self.status: int | None = None
        self.first_byte_at: datetime | None = None
        self._api = api
        self._now = now
        self._secrets = secrets
        self._keep_text = keep_text
        self._reader: Reader = NOT_BEGUN
        self._request_id: str | None = None
        self._interruption: EndReason | None = None
        self._error: ProviderError | None = None
        self._explained = ""
        self._connecting: Connecting | None = None

    def head(self, response: UpstreamResponse, explained: str = "") -> None:
        """The upstream's response began. Its content type chooses the reader.

        Args:
            response: The response.
            explained: The cause of a refusal, if the provider's message does not have it. It is added to the message.
        """
        self._explained = explained
        self._connecting = response.connecting
        self.status = response.status
        request_id = next(filter(None, map(response.header, REQUEST_ID_HEADERS)), "")
        self._request_id = request_id[:REQUEST_ID_CHARACTERS] or None
        reader = self._reader_for(response)
        self._reader = decoded(reader, response.header("Content-Encoding"))

    def accept(self, status: int) -> None:
        """The upstream takes the request on a connection where no head comes before the events."""
        self.status = status
        self._reader = self._api.reader_for(EVENTS, keep_text=self._keep_text)

    def chunk(self, data: bytes) -> None:
        """Bytes of the body came."""
        if self.first_byte_at is None:
            self.first_byte_at = self._now()
        try:
            self._reader.feed(data)
        except Exception as error:  # noqa: BLE001 - whatever a reader does, the relay goes on
            self._drop_reader(error)

    def failed(self, error: UpstreamError) -> None:
        """The upstream broke the exchange off, or never began it."""
        self._interrupted(error.end_reason, error)

    def given_up(self, message: str) -> None:
        """The request turned out to be invalid after a part of it was sent."""
        self._interruption = EndReason.CLIENT_DISCONNECTED
        self._error = ProviderError(type=INVALID_REQUEST, message=message)

    def rejected(self, error: CircuitOpenError) -> None:
        """The request was not sent to the provider."""
        self._interrupted(EndReason.CIRCUIT_OPEN, error)

    def reading(self) -> Reading:
        """What the bytes so far amount to, as it may be recorded."""
        return self._secrets.hide(self._read())

    def _read(self) -> Reading:
        try:
            reading = self._reader.result()
            if not self.priced_by_response:
                return reading
            usages = [replace(one, model=one.model or reading.model) for one in reading.token_usages]
            return replace(reading, token_usages=tuple(usages))
        except Exception as error:  # noqa: BLE001 - whatever a reader does, the relay goes on
            self._drop_reader(error)
            return self._read()

    def ending(
        self,
        stopped: EndReason | None,
        *,
        undelivered: bool = False,
        credential_hint: str = "",
        upstream_asked_at: datetime | None = None,
        other_provider: Provider | None = None,
        tries: tuple[Try, ...] = (),
    ) -> Ending:
        """The end record.

        Args:
            stopped: Why the bridge itself stopped the call; None if it did not.
            undelivered: Whether bytes arrived that the client has not read.
            credential_hint: Of the credential that was used last; it differs from the start if that one was refused.
            upstream_asked_at: When the request was last handed to the upstream.
            other_provider: The provider that responded, if it is not that of the start.
            tries: Every try, if there was more than one.
        """
        reading = self._read()
        reason = end_reason(
            status=self.status,
            reading=reading,
            interruption=stopped or self._interruption,
            undelivered=undelivered,
        )
        ending = Ending(
            interception_id=self.interception_id,
            end_reason=reason,
            ended_at=self._now(),
            upstream_asked_at=upstream_asked_at,
            first_byte_at=self.first_byte_at,
            upstream_status=self.status,
            upstream_request_id=self._request_id,
            error=_scrubbed(reading.error or self._error, self._explained),
            credential_hint=credential_hint,
            provider="" if other_provider is None else other_provider.type.value,
            provider_name="" if other_provider is None else other_provider.name,
            tries=tries,
            connecting=self._connecting,
            reading=settled(reading, reason),
        )
        return self._secrets.hide(ending)

    def _interrupted(self, reason: EndReason, error: Exception) -> None:
        self._interruption = reason
        self._error = ProviderError(type=reason.value, message=str(error))

    def _reader_for(self, response: UpstreamResponse) -> Reader:
        if not FIRST_SUCCESS <= response.status < FIRST_REDIRECT:
            return ErrorReader(response.header(ERROR_TYPE_HEADER).partition(":")[0])
        return self._api.reader_for(response.content_type, response.header, keep_text=self._keep_text)

    def _drop_reader(self, error: Exception) -> None:
        self._reader = DROPPED
        names = (self.interception_id, self._api.name)
        logger.error("a reader failed and was dropped: interception=%s api=%s", *names, exc_info=error)


def _scrubbed(error: ProviderError | None, explained: str) -> ProviderError | None:
    """The error without credentials: providers repeat them in their messages."""
    if error is None:
        return None
    is_cut = len(error.message) >= MAX_ERROR_MESSAGE  # perhaps within a credential
    message = scrub(error.message[:-MAX_SPLIT] if is_cut else error.message)
    return ProviderError(type=error.type, message=f"{message} ({explained})" if explained else message)
