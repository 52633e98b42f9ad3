from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from handlers.dataplane.observation import Observation, _scrubbed
from intercept.apis import Api
from intercept.catalog import OPENAI
from intercept.dialects.anthropic import parse_request
from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.records import Connecting, EndReason, ProviderError, Reading, TokenUsage
from intercept.secrets.known import KnownSecrets
from tests.cases import for_each
from upstream.client import UpstreamTruncatedError

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
    api = api or Api("test", "/", OPENAI, parse_request, lambda: stream, lambda: body)
    return Observation(ID, api, now=Clock(), secrets=KnownSecrets())


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


def test_the_providers_own_words_win_over_the_bridges():
    observation = observe()
    observation.head(Head(500, streaming=False))
    observation.chunk(b'{"error":{"type":"api_error","message":"Internal"}}')
    observation.failed(UpstreamTruncatedError("cut"))
    assert observation.ending(None).error == ProviderError(type="api_error", message="Internal")


def test_of_an_error_message_that_was_cut_the_end_goes_before_credentials_are_taken_out():
    key = "sk-proj-0123456789abcdefghij"
    filling = "x" * (MAX_ERROR_MESSAGE - len(key) - 17)
    error = _scrubbed(ProviderError(type="t", message=f"{key} {filling} ada@example.com"), "")
    assert error.message == f"[scrubbed] {filling[:-240]}"
