"""The handshake of a WebSocket: with the client, and with the provider."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest
from websockets.exceptions import InvalidStatus

from handlers.dataplane.services.sockets.service import WRONG_ACCEPT
from limits.protection.concurrency import MAX_SOCKETS
from tests.handlers.dataplane.services.sockets.socket_client import PATH, dial


@pytest.mark.gen_test
async def test_a_handshake_has_the_providers_key_or_is_refused_and_a_user_has_so_many(running, provider, opened, again):
    # the handshake has the providers key and nothing of the client
    client, _ = await opened(**{"OpenAI-Beta": "responses_websockets=2026-02-06", "Session-Id": "s1"})
    (request,) = provider.requests
    assert request.path == "/v1/responses"
    assert request.headers["Authorization"] == "Bearer sk-openai-provider-key"
    assert (request.headers["OpenAI-Beta"], request.headers["Session-Id"]) == ("responses_websockets=2026-02-06", "s1")
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert running.token not in str(request.headers)
    assert client.response.headers["Upgrade"] == "websocket"
    await again()
    # a handshake that may not be is refused
    for headers, status in (
        ({"Authorization": "Bearer nobody"}, 401),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            await dial(running, **headers)
        assert refused.value.response.status_code == status, headers
    await again()
    # what is no handshake is refused
    client = await running.client()
    headers = running.headers | {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "12"}
    response = await client.request("GET", PATH, headers)
    assert (response.status, response.header("Sec-WebSocket-Version")) == (426, "13")
    await again()
    # a refused handshake of the provider is the clients answer
    provider.refusal = (HTTPStatus.FORBIDDEN, "not for you\n")
    with pytest.raises(InvalidStatus) as refused:
        await dial(running)
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not for you\n")


@pytest.mark.gen_test
async def test_a_provider_that_cannot_be_reached_is_a_502(running, provider):
    await provider.stop()
    with pytest.raises(InvalidStatus) as refused:
        await dial(running)
    assert refused.value.response.status_code == 502
    await provider.start()


@pytest.mark.gen_test
async def test_a_user_has_a_bounded_number_of_websockets(running, opened):
    for _ in range(MAX_SOCKETS):
        await opened()
    with pytest.raises(InvalidStatus) as refused:
        await dial(running)
    assert refused.value.response.status_code == 429


@pytest.mark.gen_test
async def test_who_answers_another_handshake_is_no_provider_and_holds_no_place(running):
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{}\r\n"
    for accept in ("", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"):
        running.upstream.scripts = [[head.format(accept).encode()]]
        with pytest.raises(InvalidStatus) as refused:
            await dial(running, PATH.replace("/openai/", "/own-server/"))
        response = refused.value.response
        assert (response.status_code, json.loads(response.body)["message"]) == (502, f"own-server: {WRONG_ACCEPT}.")
    assert len(running.bridge.shares.sockets) == 0


@pytest.mark.gen_test
async def test_a_server_that_closes_its_streams_opens_no_websocket(running, provider):
    running.bridge.lifecycle.close_streams()
    with pytest.raises(InvalidStatus) as refused:
        await dial(running)
    assert (refused.value.response.status_code, provider.requests) == (503, [])
