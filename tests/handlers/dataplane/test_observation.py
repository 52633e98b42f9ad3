from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from handlers.dataplane.observation import Observation, _scrubbed
from intercept.apis import Api, Dialect
from intercept.catalog import MESSAGES as API
from intercept.dialects.anthropic.messages import parse_request
from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.records import Connecting, Ending, EndReason, ProviderError, Reading, TokenUsage, UsageSource
from intercept.secrets.known import KnownSecrets
from limits.protection.circuit_breaker import CircuitOpenError
from tests.cases import for_each
from tests.handlers.conversations import MESSAGES
from upstream.client import UpstreamTimeoutError, UpstreamTruncatedError, UpstreamUnreachableError

ID = UUID(int=1)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Reading()
READING = Reading(response_id="r", complete=True, token_usages=(TokenUsage(provider_response_id="r", output_tokens=0),))


@dataclass
class Head:
    """The head of an upstream's response."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    streaming: bool = False
    connecting: Connecting | None = None

    @property
    def content_type(self):
        return "text/event-stream" if self.streaming else "application/json"

    def header(self, name, default=""):
        return self.headers.get(name.lower(), default)


class Reader:
    """Says what it is told to, or raises it."""

    behind = False

    def step(self):
        return False

    def __init__(self, reading=NOTHING, on_feed=None):
        self.reading = reading
        self.on_feed = on_feed
        self.fed = []

    def feed(self, chunk):
        self.fed.append(chunk)
        if self.on_feed:
            raise self.on_feed

    def result(self):
        if isinstance(self.reading, Exception):
            raise self.reading
        return self.reading


class Clock:
    """One second later whenever it is asked."""

    def __init__(self):
        self.time = MIDNIGHT

    def __call__(self):
        self.time += timedelta(seconds=1)
        return self.time


def second(number):
    return MIDNIGHT + timedelta(seconds=number)


def observe(stream=None, body=None, api=None):
    api = api or Api("test", "/", Dialect.OPENAI, parse_request, lambda: stream, lambda: body)
    return Observation(ID, api, now=Clock(), secrets=KnownSecrets())


def test_a_stream_is_given_to_the_stream_reader_and_a_body_to_the_body_reader():
    for streaming in (True, False):
        stream, body = Reader(), Reader()
        observation = observe(stream, body)
        observation.head(Head(streaming=streaming))
        observation.chunk(b"one")
        observation.chunk(b"two")
        used, unused = (stream, body) if streaming else (body, stream)
        assert (used.fed, unused.fed) == ([b"one", b"two"], [])


def test_the_end_record_says_what_was_seen_and_when():
    observation = observe(Reader(READING))
    observation.head(Head(201, {"request-id": "req_1"}, streaming=True))
    observation.chunk(b"one")
    observation.chunk(b"two")
    assert observation.ending(None, credential_hint="sk-a...wxyz", upstream_asked_at=second(0)) == Ending(
        interception_id=ID,
        end_reason=EndReason.COMPLETED,
        ended_at=second(2),
        upstream_asked_at=second(0),
        first_byte_at=second(1),
        upstream_status=201,
        upstream_request_id="req_1",
        credential_hint="sk-a...wxyz",
        reading=READING,
    )


@for_each(
    ("headers", "request_id"),
    [
        ({}, None),
        ({"request-id": ""}, None),
        ({"x-request-id": "x"}, "x"),
        ({"request-id": "r", "x-request-id": "x"}, "r"),
    ],
)
def test_the_upstreams_request_id_is_taken_from_either_header(headers, request_id):
    observation = observe(Reader())
    observation.head(Head(200, headers, streaming=True))
    assert observation.ending(None).upstream_request_id == request_id


@for_each(
    ("error", "reason"),
    [
        (UpstreamUnreachableError("no connection"), EndReason.UPSTREAM_UNREACHABLE),
        (UpstreamTimeoutError("silent"), EndReason.UPSTREAM_TIMEOUT),
        (UpstreamTruncatedError("cut"), EndReason.UPSTREAM_TRUNCATED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_before_the_head_is_recorded_in_its_own_words(error, reason):
    observation = observe()
    observation.failed(error)
    assert observation.ending(None) == Ending(
        interception_id=ID,
        end_reason=reason,
        ended_at=second(1),
        error=ProviderError(type=reason.value, message=str(error)),
    )


def test_a_call_that_its_circuit_refused_is_recorded_so():
    observation = observe()
    observation.rejected(CircuitOpenError(7))
    assert observation.ending(None) == Ending(
        interception_id=ID,
        end_reason=EndReason.CIRCUIT_OPEN,
        ended_at=second(1),
        error=ProviderError(type="circuit_open", message="circuit breaker is open"),
    )


def test_the_first_reason_to_stop_is_the_bridges_own():
    observation = observe(Reader())
    observation.head(Head(streaming=True))
    observation.failed(UpstreamTruncatedError("cut"))
    assert observation.ending(EndReason.CLIENT_DISCONNECTED).end_reason is EndReason.CLIENT_DISCONNECTED


@pytest.mark.parametrize(
    ("undelivered", "reason"),
    [
        (False, EndReason.COMPLETED),
        (True, EndReason.CLIENT_DISCONNECTED),
    ],
)
def test_a_client_that_left_has_a_completed_call_only_if_it_took_everything(undelivered, reason):
    observation = observe(Reader(READING))
    observation.head(Head(streaming=True))
    observation.chunk(b"x")
    assert observation.ending(EndReason.CLIENT_DISCONNECTED, undelivered=undelivered).end_reason is reason


@pytest.mark.parametrize(
    "reader",
    [Reader(READING, on_feed=KeyError("feed")), Reader(ValueError("result"))],
    ids=["while it is fed", "when it is asked"],
)
@pytest.mark.parametrize(
    ("stopped", "failure", "reason"),
    [
        (None, None, EndReason.COMPLETED),
        (None, UpstreamTruncatedError("cut"), EndReason.UPSTREAM_TRUNCATED),
        (EndReason.SERVER_SHUTDOWN, None, EndReason.SERVER_SHUTDOWN),
    ],
    ids=["whole", "cut", "stopped"],
)
@pytest.mark.expects_log(
    "ERROR handlers.dataplane.observation: a reader failed and was dropped: interception=.* api=test"
)
def test_a_reader_that_fails_is_dropped_and_logged_once(caplog, reader, stopped, failure, reason):
    reader.fed.clear()
    observation = observe(reader)
    observation.head(Head(streaming=True))
    for _ in range(3):
        observation.chunk(b"x")
    if failure:
        observation.failed(failure)
    ending = observation.ending(stopped)
    assert observation.ending(stopped).reading == ending.reading
    assert (ending.end_reason, ending.first_byte_at, ending.upstream_status) == (reason, second(1), 200)
    assert ending.reading.token_usages == ()
    assert len(reader.fed) == (1 if reader.on_feed else 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_stream_is_read(encoding):
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    packed = packer.compress(MESSAGES.stream) + packer.flush()
    observation = observe(api=API)
    observation.head(Head(200, {"content-encoding": encoding}, streaming=True))
    for start in range(0, len(packed), 5):
        observation.chunk(packed[start : start + 5])
    ending = observation.ending(None)
    (usage,) = ending.reading.token_usages
    assert (ending.end_reason, usage.output_tokens, usage.source) == (EndReason.COMPLETED, 2, UsageSource.PROVIDER)


def test_a_body_in_an_unknown_encoding_is_as_complete_as_its_connection():
    for failure, reason in (
        (None, EndReason.COMPLETED),
        (UpstreamTruncatedError("cut"), EndReason.UPSTREAM_TRUNCATED),
    ):
        observation = observe(api=API)
        observation.head(Head(200, {"content-encoding": "br"}, streaming=False))
        observation.chunk(b"\x00\xff")
        if failure:
            observation.failed(failure)
        assert observation.ending(None).end_reason is reason


@for_each("status", [302, 400, 429, 503, 529])
@for_each("streaming", [True, False])
def test_the_body_of_an_error_is_read_as_one_whatever_the_api(status, streaming):
    observation = observe()
    observation.head(Head(status, streaming=streaming))
    observation.chunk(b'{"error":{"type":"overloaded_error","message":"Later"}}')
    ending = observation.ending(None)
    assert (ending.end_reason, ending.upstream_status) == (EndReason.UPSTREAM_ERROR, status)
    assert ending.error == ProviderError(type="overloaded_error", message="Later")


def test_the_providers_own_words_win_over_the_bridges():
    observation = observe()
    observation.head(Head(500, streaming=False))
    observation.chunk(b'{"error":{"type":"api_error","message":"Internal"}}')
    observation.failed(UpstreamTruncatedError("cut"))
    assert observation.ending(None).error == ProviderError(type="api_error", message="Internal")


def test_what_was_seen_so_far_may_be_asked_at_any_time():
    observation = observe(api=API)
    assert observation.reading() == NOTHING
    observation.head(Head(streaming=True))
    assert observation.reading() == NOTHING
    observation.chunk(MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2])
    (usage,) = observation.reading().token_usages
    assert (usage.output_tokens, usage.source) == (1, UsageSource.PARTIAL)


def test_of_an_error_message_that_was_cut_the_end_goes_before_credentials_are_taken_out():
    key = "sk-proj-0123456789abcdefghij"
    filling = "x" * (MAX_ERROR_MESSAGE - len(key) - 17)
    error = _scrubbed(ProviderError(type="t", message=f"{key} {filling} ada@example.com"), "")
    assert error.message == f"[scrubbed] {filling[:-240]}"
