"""What clients and providers do wrong: an error in the dialect or the bytes as they came, one end, and the slot is free.

The bridge has one slot. After each case `GET /limits` says that nothing holds it, and another call is served.
"""

import asyncio
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from websockets.utils import accept_key

from handlers.dataplane.services.sockets import session
from limits.protection.concurrency import MAX_SOCKETS
from settings import ProviderSettings
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.handlers.conversations import MESSAGES
from tests.intercept.dialects.gemini.test_generate_content import ARRAY
from tests.intercept.formats.event_streams import event, message
from tests.sdk.bedrock import CONVERSE_EVENTS, KEYS, event_stream, reply
from tests.sdk.wiring import whole
from upstream.credentials.aws import AwsAuthorizer
from upstream.credentials.sigv4 import Scope
from upstream.demo.scripted import LAST_CHUNK, chunk
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.bridge(
    max_concurrency=1,
    further_providers=(
        ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),
        ProviderSettings("bedrock", ProviderType.BEDROCK, "", (), region="us-east-1"),
    ),
)
BRIDGE = "/api/v2/aibridge"
CONVERSE = f"{BRIDGE}/bedrock/model/m/converse"
STREAM = f"{BRIDGE}/bedrock/model/m/converse-stream"
ARRAY_PATH = f"{BRIDGE}/gemini/v1beta/models/gemini-3:streamGenerateContent"
SOCKET = f"{BRIDGE}/openai/v1/responses"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
MESSAGE_EVENTS = [event(*each) for each in CONVERSE_EVENTS]
EVENTS = b"".join(MESSAGE_EVENTS)


@pytest.fixture
def bridge(running):
    """The bridge, whose providers are at the scripted upstream; Bedrock's requests are signed."""
    providers = running.bridge.providers
    authorizer = AwsAuthorizer(lambda: KEYS, Scope("us-east-1", "bedrock"), lambda: datetime.now(UTC))
    for name, differences in (("gemini", {}), ("bedrock", {"authorizer": authorizer, "keyless": False})):
        providers[name] = replace(providers[name], base_url=running.upstream.url, **differences)
    return running


async def call(running, path, body=b'{"messages":[]}', **headers):
    client = await running.client()
    response = await client.request("POST", path, running.headers | headers, body)
    await client.closed()
    return response


async def check_free(running):
    """Check that nothing is held, and that another call gets the one slot."""
    status, limits = await running.get(f"{BRIDGE}/limits")
    assert (status, limits["limits"][0]["used"]) == (200, 0)
    running.upstream.scripts[:] = [whole(json.loads(MESSAGES.body))]
    served = await running.call(MESSAGES)
    assert (served.status, json.loads(served.body)) == (200, json.loads(MESSAGES.body))


async def find_end(running, calls=1):
    """Why the last of so many calls ended, after each of which the slot was found free: it is the one before the last."""
    _, recorded, *_ = await running.ended(2 * calls)
    return recorded["end_reason"], recorded["error"] and recorded["error"]["type"]


async def test_a_region_whose_host_there_is_not_is_a_502_of_the_dialect(bridge):
    providers = bridge.bridge.providers
    providers["bedrock"] = replace(
        providers["bedrock"], region="eu-nowhere-1", base_url="https://bedrock-runtime.eu-nowhere-1.invalid/"
    )
    response = await call(bridge, CONVERSE)
    result = json.loads(response.body)
    assert (response.status, result["message"].partition(":")[0]) == (502, "bedrock")
    assert response.header("x-amzn-ErrorType") == result["__type"]
    await check_free(bridge)
    assert await find_end(bridge) == ("upstream_unreachable", "upstream_unreachable")


async def test_regions_and_paths_that_lead_nowhere_are_told_in_the_dialect(bridge):
    # what aws says of a region or a credential comes as it is
    for calls, (kind, said) in enumerate(
        (
            ("InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-nowhere-1'."),
            ("ExpiredTokenException", "The security token included in the request is expired"),
        ),
        start=1,
    ):
        bridge.upstream.scripts[:] = [reply({"message": said}, 403, **{"x-amzn-ErrorType": kind})]
        response = await call(bridge, CONVERSE)
        assert (response.status, response.header("x-amzn-ErrorType")) == (403, kind)
        assert json.loads(response.body) == {"message": said}, kind
        await check_free(bridge)
        assert await find_end(bridge, calls) == ("upstream_error", kind)
    await bridge.afresh()
    # what leads nowhere is refused in the dialect and asks nobody
    signature = "AWS4-HMAC-SHA256 Credential=A/20260301/us-east-1/bedrock/aws4_request"
    for case, (path, headers, status) in {
        "dots": (f"{BRIDGE}/bedrock/model/../model/m/converse", {}, 400),
        "encoded dots": (f"{BRIDGE}/bedrock/model/m%2f..%2f..%2fsecrets/converse", {}, 400),
        "another route": (f"{BRIDGE}/bedrock/secrets", {}, 404),
        "a signature for the bridge": (CONVERSE, {"Authorization": signature}, 401),
    }.items():
        bridge.upstream.requests.clear()
        response = await call(bridge, path, **headers)
        result = json.loads(response.body)
        assert (response.status, result["__type"]) == (status, response.header("x-amzn-ErrorType")), case
        assert result["message"], case
        assert bridge.upstream.requests == [], case
        await check_free(bridge)
    await bridge.ended(4)


def flipped(at):
    return EVENTS[:at] + bytes([EVENTS[at] ^ 1]) + EVENTS[at + 1 :]


async def test_frames_that_are_broken_or_cut_pass_unchanged_and_are_recorded_so(bridge):
    # broken frames pass unchanged and are recorded as broken
    for calls, (case, sent) in enumerate(
        {
            "length": flipped(2),
            "prelude": flipped(9),
            "payload": flipped(len(EVENTS) // 2),
            "checksum": flipped(len(EVENTS) - 1),
            "between": MESSAGE_EVENTS[0] + b"\r\n\r\n" + b"".join(MESSAGE_EVENTS[1:]),
            "short": message(b"", b"{}", total=15),
            "huge": message(b"", b"{}", total=2**32 - 1),
            "headers": message(b"", b"{}", headers_length=2**31),
            "header": message(b"\xff" * 40, b"{}"),
            "text": b"no event stream at all, but a page of text",
        }.items(),
        start=1,
    ):
        bridge.upstream.scripts[:] = [event_stream([sent])]
        response = await call(bridge, STREAM)
        assert (response.status, bytes(response.body), response.whole) == (200, sent, True), case
        await check_free(bridge)
        assert await find_end(bridge, calls) == ("upstream_stream_error", "broken_event_stream"), case
    await bridge.afresh()
    # frames that are cut anywhere are recorded as cut
    # Behind the whole event of the stop reason the message is complete, though its tokens are not told.
    complete = len(b"".join(MESSAGE_EVENTS[:7]))
    for at in {1, 11, 12, len(MESSAGE_EVENTS[0]), complete // 2, complete - 1}:
        bridge.upstream.scripts[:] = [[*event_stream([EVENTS[:at]])[:-1], CLOSE]]
        response = await call(bridge, STREAM)
        assert (bytes(response.body), response.whole) == (EVENTS[:at], False)
    await check_free(bridge)
    _, *cut = await bridge.ended(7)
    assert {one["end_reason"] for one in cut} == {"upstream_truncated"}


@pytest.mark.parametrize("clean", [False, True], ids=["connection", "body"])
async def test_an_array_that_is_cut_anywhere_is_never_a_complete_call(bridge, clean):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    cuts = range(1, len(ARRAY.rstrip()) - 1, len(ARRAY) // 12)
    for at in cuts:
        bridge.upstream.scripts[:] = [[head, chunk(ARRAY[:at]), LAST_CHUNK if clean else CLOSE]]
        response = await call(bridge, ARRAY_PATH, b'{"contents":[]}')
        assert (bytes(response.body), response.whole) == (ARRAY[:at], clean)
    await check_free(bridge)
    _, *cut = await bridge.ended(len(cuts) + 1)
    assert {one["end_reason"] for one in cut} == {"upstream_truncated"}


def masked(head):
    return head + bytes(4)


@pytest.mark.bridge(max_body_bytes=100_000)
async def test_frames_that_may_not_be_close_the_socket_and_go_nowhere(bridge, monkeypatch):
    monkeypatch.setattr(session, "CLOSE_SECONDS", 60)  # their answer to the close is not awaited
    accept = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    for calls, (case, (frames, code)) in enumerate(
        {
            "endless": (masked(b"\x81\xff" + struct.pack(">Q", 2**62)), 1009),
            "too large": (masked(b"\x81\xff" + struct.pack(">Q", 100_001)), 1009),
            "unfinished": (masked(b"\x01\xfe" + struct.pack(">H", 60_000)) + bytes(60_000), None),
            "unmasked": (b"\x81\x02{}", 1002),
            "opcode": (masked(b"\x83\x80"), 1002),
            "large ping": (masked(b"\x89\xfe" + struct.pack(">H", 200)) + bytes(200), 1002),
            "not UTF-8": (masked(b"\x81\x82") + b"\xff\xfe", 1007),
        }.items()
    ):
        client = await bridge.client()
        opening = asyncio.ensure_future(client.request("GET", SOCKET, bridge.headers | HANDSHAKE))
        bridge.upstream.scripts[:] = [[asyncio.Event()]]
        request = await bridge.upstream.request(2 * calls)
        (key,) = request.header("Sec-WebSocket-Key")
        connection = bridge.upstream.connections[-1]
        connection.transport.write(accept + accept_key(key).encode() + b"\r\n\r\n")
        await opening
        await client.send_raw(frames)
        if code is None:
            client.close()
        else:
            closing = await client.at_end()
            assert (closing[0], struct.unpack(">H", closing[2:4])) == (0x88, (code,)), case
        await request.closed.wait()
        await check_free(bridge)
        await bridge.ended(calls + 1)


@pytest.mark.parametrize("leaves_at", ["head", "handshake"])
async def test_a_client_that_does_not_finish_the_upgrade_leaves_nothing_behind(bridge, leaves_at):
    bridge.upstream.scripts[:] = [[asyncio.Event()]]
    for number in range(MAX_SOCKETS + 1):
        client = await bridge.client()
        if leaves_at == "head":
            await client.send_raw(f"GET {SOCKET} HTTP/1.1\r\nHost: bridge\r\nUpgrade: websocket\r\n".encode())
        else:
            await client.send("GET", SOCKET, bridge.headers | HANDSHAKE)
            request = await bridge.upstream.request(number)
        client.close()
        if leaves_at == "handshake":
            await request.closed.wait()
    await until(lambda: not bridge.bridge.lifecycle.in_flight)
    await check_free(bridge)
    await bridge.ended(1)
