"""What is read of a request for its record, and which bodies cannot be read."""

import gzip
import json
from dataclasses import replace

import pytest
from zstandard import ZstdCompressor

from handlers.dataplane.summary import LONG_PATH
from intercept.dialects.request_bodies import MAX_PATH_MODEL
from settings import ProviderSettings
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.bodies.test_bodies import HOSTILE
from tests.handlers.dataplane.test_admission import refused
from upstream.providers.presets import ProviderType

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_body_that_cannot_be_relayed_or_is_read_in_two_ways_is_refused_by_name(running):
    # a body that cannot be relayed is refused by name
    for body, message in {
        b"": "request body is not valid JSON",
        b"{": "request body is not valid JSON",
        b"[1]": "request body",
        b"{}": "model is required",
        b'{"model":""}': "model",
        b'{"model":7}': "request body is not usable: Expected `str`, got `int` - at `$.model`",
        b'{"model":"m","stream":"yes"}': (
            "request body is not usable: Expected `bool | null`, got `str` - at `$.stream`"
        ),
        b'\xff\xfe{"model":"m"}': "request body is not valid UTF-8",
    }.items():
        response = await refused(running, running.path(CHAT), running.headers, body)
        error = json.loads(response.body)
        assert (response.status, error["error"]["type"]) == (400, "invalid_request_error"), body
        assert error["message"].startswith(message), body
        assert running.token not in error["message"], body
    await running.afresh()
    # a compressed request that cannot be read is refused
    for encoding, body, status, message in (
        ("gzip", b"{}", 400, "request body is not valid gzip: "),
        ("zstd", b"{}", 400, "request body is not valid zstd: "),
        ("br", b"{}", 415, "Content-Encoding 'br' is not supported in requests: allowed are gzip, x-gzip, zstd."),
        ("gzip", gzip.compress(bytes(2**22), mtime=0), 413, "The inflated request body is larger than the allowed "),
    ):
        headers = running.headers | {"Content-Encoding": encoding}
        response = await running.request("POST", running.path(CHAT), headers, body)
        assert response.status == status, (encoding, len(body))
        assert json.loads(response.body)["message"].startswith(message), (encoding, len(body))
    assert running.upstream.requests == []
    await running.afresh()
    # a body that parsers may read differently is refused
    for body, message in (
        (rb'{"model":"m","mod\u0065l":"n"}', "model is there more than once: parsers differ in which one counts"),
        (b'{"model":"m","stream":true,"stream":false}', "stream is there more than once: parsers differ in which one"),
        (b'{"model":"m","text":"\xff"}', "request body is not valid UTF-8 (byte 21)"),
        (HOSTILE[:-1], "request body is not valid JSON: Input data was truncated"),
    ):
        response = await running.request("POST", running.path(MESSAGES), running.headers, body)
        assert response.status == 400, body[:50]
        assert message in response.body.decode(), body[:50]
    headers = running.headers | {"Content-Type": "application/json; charset=utf-7"}
    response = await running.request("POST", running.path(CHAT), headers, b'{"model":"gpt+AC0-5","messages":[]}')
    assert (response.status, json.loads(response.body)["message"]) == (415, "The charset of a request must be UTF-8.")
    assert running.upstream.requests == []


async def test_a_compressed_request_goes_on_as_it_came_as_does_an_endless_user_agent(running):
    # a compressed request is recorded and goes on as it came
    body = CHAT.request_body(stream=True)
    running.upstream.play(OK)
    sent = {"gzip": gzip.compress(body), "zstd": ZstdCompressor().compress(body)}
    for number, (encoding, compressed) in enumerate(sent.items()):
        headers = running.headers | {"Content-Encoding": encoding}
        assert (await running.request("POST", running.path(CHAT), headers, compressed)).status == 200, encoding
        received = await running.upstream.request(number)
        assert (received.body, received.header("Content-Encoding")) == (compressed, [encoding])
        recorded, *_ = await running.ended(number + 1)
        assert [prompt["prompt"] for prompt in recorded["user_prompts"]] == [CHAT.prompt], encoding
    await running.afresh()
    # an endless user agent is relayed whole and recorded cut
    running.upstream.play(OK)
    agent = "claude-cli/2.1 " + "x" * 10_000
    headers = running.headers | {"User-Agent": agent}
    await running.call(MESSAGES, headers)
    assert running.upstream.requests[0].header("User-Agent") == [agent]
    (recorded,) = await running.ended(1)
    assert (recorded["user_agent"], recorded["client"]) == (agent[:512], "Claude Code")


@pytest.mark.bridge(further_providers=(ProviderSettings("azure", ProviderType.AZURE, "", ("sk-azure",), "keys"),))
async def test_a_path_whose_model_has_no_end_is_refused(running):
    providers = running.bridge.providers
    providers["azure"] = replace(providers["azure"], base_url=running.upstream.url)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nx\r\n--b--\r\n'
    running.upstream.play(OK)
    for path, body, kind in (
        ("chat/completions", b'{"messages": []}', "application/json"),
        ("audio/transcriptions", form, "multipart/form-data; boundary=b"),
    ):
        for length, expected in ((MAX_PATH_MODEL, 200), (MAX_PATH_MODEL + 1, 400)):
            url = f"/api/v2/aibridge/azure/openai/deployments/{'x' * length}/{path}"
            response = await running.request("POST", url, running.headers | {"Content-Type": kind}, body)
            assert response.status == expected, (path, length)
        assert json.loads(response.body)["message"] == LONG_PATH, path
    assert len(running.upstream.requests) == 2
    await running.ended(2)
