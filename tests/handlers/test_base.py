"""What no one foresaw: the client is told nothing of it, the log everything but secrets, and the server goes on."""

import asyncio
import json
import logging

import pytest

from intercept.secrets import KnownSecrets
from runtime.logs import ScrubbingFormatter
from tests.handlers.conversations import CHAT, MESSAGES
from upstream.client import UpstreamClient, UpstreamResponse

SECRET = "sk-ant-api03-0123456789abcdefghijklmnop"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class UnforeseenError(Exception):
    pass


def fail(*_, **__):
    raise UnforeseenError(f"while X-Api-Key: {SECRET} was sent")


def logged(caplog):
    """The one error that was logged, as it is written."""
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return ScrubbingFormatter("%(levelname)s %(name)s: %(message)s", KnownSecrets()).format(record)


@pytest.mark.parametrize(
    ("conversation", "error"),
    [
        (MESSAGES, {"type": "api_error", "message": "Internal Server Error"}),
        (CHAT, {"message": "Internal Server Error", "type": "server_error", "param": None, "code": None}),
    ],
    ids=["messages", "chat"],
)
@pytest.mark.expects_log("ERROR handlers.base: unexpected error")
async def test_before_the_first_byte_an_error_is_a_500_logged_once_without_secrets(
    running, monkeypatch, caplog, conversation, error
):
    monkeypatch.setattr(UpstreamClient, "open", fail)
    client = await running.client()
    path = running.path(conversation)
    response = await client.request(
        "POST", f"{path}?key={SECRET}", running.headers, conversation.request_body(stream=True)
    )
    body = json.loads(response.body)
    assert (response.status, body["error"], body["message"]) == (500, error, "Internal Server Error")
    line, *traceback = logged(caplog).splitlines()
    request_id = response.header("Request-Id") or response.header("X-Request-Id")
    assert line == f"ERROR handlers.base: unexpected error: request_id={request_id} path={path}"
    assert traceback[0] == "Traceback (most recent call last):"
    assert "UnforeseenError: while X-Api-Key: " in traceback[-1]
    assert SECRET not in "".join(traceback)
    assert running.token not in caplog.text
    (recorded,) = await running.ended(1)
    assert (recorded["id"], recorded["status"]) == (response.header("X-AI-Bridge-Interception-Id"), "failed")
    assert SECRET not in json.dumps(recorded)
    monkeypatch.undo()
    running.upstream.play(OK)
    response = await client.request("POST", path, running.headers, conversation.request_body(stream=False))
    assert response.status == 200
    await running.ended(2)


@pytest.mark.expects_log("ERROR handlers.base: unexpected error")
async def test_after_the_first_byte_the_connection_is_broken_off(running, monkeypatch, caplog):
    async def first_then_fail(response, sink):
        def take_one(piece):
            sink(piece)
            return False

        await stream_to(response, take_one)
        fail()

    stream_to = UpstreamResponse.stream_to
    monkeypatch.setattr(UpstreamResponse, "buffered", lambda _: b"")
    monkeypatch.setattr(UpstreamResponse, "stream_to", first_then_fail)
    first = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
    running.upstream.play(STREAM, b"%x\r\n%s\r\n" % (len(first), first), asyncio.Event())
    response = await running.call(MESSAGES, stream=True)
    assert (response.status, bytes(response.body), response.whole) == (200, first, False)
    await running.upstream.requests[0].closed.wait()
    assert SECRET not in logged(caplog)
    (recorded,) = await running.ended(1)
    assert (recorded["status"], recorded["token_usages"][0]["source"]) == ("failed", "partial")
    assert running.bridge.lifecycle.in_flight == 0
    assert running.bridge.overload.holding == 0


@pytest.mark.expects_log("ERROR handlers.base: unexpected error")
async def test_on_the_control_plane_it_is_a_500_that_gives_nothing_away(running, monkeypatch, caplog):
    monkeypatch.setattr(running.bridge.interceptions, "page", fail)
    assert await running.get("/api/v2/aibridge/interceptions") == (500, {"message": "Internal Server Error"})
    assert SECRET not in logged(caplog)


async def test_a_target_that_no_one_should_send_is_answered(running):
    for target in ("/%", "/%zz", "/%ff", "/\xff", "/a?%ff=%", "/b?q=%ff", "*", "/" + "x" * 60_000):
        for path in (target, f"/api/v2/aibridge/interceptions{target}", f"/api/v2/aibridge/openai{target}"):
            client = await running.client()
            response = await client.request("GET", path, running.headers)
            assert response.status in {400, 404}, path[:100]
