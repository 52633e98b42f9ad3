"""What can be checked only where the provider is ours: bytes, headers, time, and the ends of streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from verify.checks import Check, expect
from verify.target import FailedError, Target
from verify.upstream import ReceivedRequest, Script, Upstream
from verify.wire import BrokenOffError, Response

KEY = "sk-verify-0123456789"
"""The provider's key that the private bridge has."""

SECONDS = 5.0
"""How long anything on this machine may take."""

_STREAM = ("Content-Type: text/event-stream",)
_EVENTS = (
    b": a comment, an empty comment and a carriage return\n:\r\n\r\n",
    'event: message_start\ndata: {"type":"message_start","text":"\u00fc\u4f60\U0001f600"}\n\n'.encode(),
    b'data:{"type":"content_block_delta"}\r\n\r\n',
    b"event: unknown_of_tomorrow\nid: 7\nretry: 10\ndata: [1,\ndata: 2]\n\n",
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
_ODD_BODY = (
    b'{ "id" : "msg_1",\n\t"usage": {"input_tokens": 1e0, "output_tokens":2},"\xc3\xa9":"\\u00e9", "x": 1.10 }\n'
)
_PROMPT = "Byte for byte, \u00fc and \U0001f600."


@dataclass(frozen=True)
class Loopback:
    """A bridge whose only provider is ours."""

    target: Target
    upstream: Upstream

    async def received(self) -> ReceivedRequest:
        """The request that reached the provider."""
        try:
            return await asyncio.wait_for(self.upstream.received_requests.get(), SECONDS)
        except TimeoutError:
            raise FailedError("a request at the provider", "none") from None


def relay_checks(loopback: Loopback) -> dict[str, Check]:
    """The checks that need the provider, by their sentence."""
    checks = {
        "a request reaches the provider byte for byte": _request_bytes,
        "the provider sees its own key and no token of the client": _credentials,
        "an answer reaches the client byte for byte": _response_bytes,
        "a stream reaches the client byte for byte, each event before the next is sent": _stream_bytes,
        "an error of the provider reaches the client as it is": _provider_error,
        "a stream that is cut never looks complete": _cut,
        "the provider is let go when the client leaves a silent stream": _release,
    }
    return {sentence: partial(_run, check, loopback) for sentence, check in checks.items()}


async def _run(check: Callable[[Loopback], Awaitable[None]], loopback: Loopback, _target: Target) -> None:
    while not loopback.upstream.received_requests.empty():
        loopback.upstream.received_requests.get_nowait()
    await check(loopback)


async def _request_bytes(loopback: Loopback) -> None:
    loopback.upstream.script = Script(pieces=(_ODD_BODY,))
    target = loopback.target
    sent = b' {"model" : "m",  "messages":[{"role":"user","content":"\xc3\xa9\\u00e9"}], "max_tokens":1, "x":1.10}\n'
    headers = {**target.credentials, "Content-Type": "application/json"}
    async with target.request("POST", target.path(), headers, sent) as response:
        await response.body()
    received_bytes = (await loopback.received()).body
    expect(received_bytes == sent, repr(sent), repr(received_bytes))


async def _credentials(loopback: Loopback) -> None:
    loopback.upstream.script = Script(pieces=(_ODD_BODY,))
    headers = {"anthropic-beta": "tools-2030", "X-Mine": "kept", "Connection": "X-Hop", "X-Hop": "dropped"}
    async with loopback.target.call("Who pays?", headers=headers) as response:
        await response.body()
    received = await loopback.received()
    expect(received.header("X-Api-Key") == KEY, "the provider's key", "another one or none")
    expect(loopback.target.token not in received.head, "no token of the client", "the token")
    for name, wanted in {"anthropic-beta": "tools-2030", "X-Mine": "kept", "X-Hop": None}.items():
        expect(received.header(name) == wanted, f"{name}: {wanted}", received.header(name))


async def _response_bytes(loopback: Loopback) -> None:
    headers = ("Content-Type: application/json", "request-id: req_verify", "Set-Cookie: theirs=1")
    loopback.upstream.script = Script(headers=headers, pieces=(_ODD_BODY,))
    async with loopback.target.call(_PROMPT) as response:
        body = await response.body()
    expect(body == _ODD_BODY, repr(_ODD_BODY), repr(body))
    expect(response.header("request-id") == "req_verify", "request-id: req_verify", response.header("request-id"))
    expect(not response.header("Set-Cookie"), "no Set-Cookie", response.header("Set-Cookie"))


async def _stream_bytes(loopback: Loopback) -> None:
    loopback.upstream.script = Script(headers=_STREAM, pieces=_EVENTS)
    async with loopback.target.call(_PROMPT, stream=True) as response:
        received = await loopback.received()
        chunks = response.chunks()
        for event in _EVENTS:
            received_bytes = b""
            while len(received_bytes) < len(event):
                try:
                    received_bytes += await asyncio.wait_for(anext(chunks), SECONDS)
                except (TimeoutError, StopAsyncIteration):
                    raise FailedError(f"{event!r} before the next event is sent", repr(received_bytes)) from None
            expect(received_bytes == event, repr(event), repr(received_bytes))
            received.proceed.set()
        rest = b"".join([chunk async for chunk in chunks])
    expect(not rest, "nothing more", repr(rest))


async def _provider_error(loopback: Loopback) -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    headers = ("Content-Type: application/json", "retry-after: 17")
    loopback.upstream.script = Script(status="529 Overloaded", headers=headers, pieces=(body,))
    target = loopback.target
    sent = {**target.credentials, "Content-Type": "application/json"}
    request = target.dialect.request(target.model, prompt=_PROMPT, stream=False)
    async with target.request("POST", target.path(), sent, request) as response:
        seen = (response.status, response.header("retry-after"), await response.body())
    expect(seen == (529, "17", body), f"529, retry-after: 17, {body!r}", seen)


async def _cut(loopback: Loopback) -> None:
    loopback.upstream.script = Script(headers=_STREAM, pieces=_EVENTS[:2], cut=True)
    async with loopback.target.call(_PROMPT, stream=True) as response:
        (await loopback.received()).proceed.set()
        interception_id = await _expect_broken_off(response)
    record = await loopback.target.record(interception_id)
    expect(record["end_reason"] == "upstream_truncated", "end_reason upstream_truncated", record["end_reason"])


async def _expect_broken_off(response: Response) -> str:
    try:
        await response.body()
    except BrokenOffError:
        return response.header("X-AI-Bridge-Interception-Id")
    raise FailedError("a connection that breaks off", "a stream with an orderly end")


async def _release(loopback: Loopback) -> None:
    loopback.upstream.script = Script(headers=_STREAM, pieces=_EVENTS[:1], silent=True)
    async with loopback.target.call(_PROMPT, stream=True) as response:
        received = await loopback.received()
        await anext(response.chunks())
        interception_id = response.header("X-AI-Bridge-Interception-Id")
    try:
        await asyncio.wait_for(received.left.wait(), SECONDS)
    except TimeoutError:
        raise FailedError(f"the provider's connection closed within {SECONDS:.0f} s", "it is open") from None
    record = await loopback.target.record(interception_id)
    expect(record["end_reason"] == "client_disconnected", "end_reason client_disconnected", record["end_reason"])
