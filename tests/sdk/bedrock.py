"""A stand-in for Bedrock: its responses, the check of signatures, and TLS in front of the bridge."""

import asyncio
import json
import re
from contextlib import suppress

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from upstream.credentials.sigv4 import AwsKeys
from upstream.demo.scripted import LAST_CHUNK, chunk

KEYS = AwsKeys("AKIDEXAMPLE0000000", "a-secret-access-key", "a-session-token")
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Weather in Zürich?"}]}]
USAGE = {"inputTokens": 30, "outputTokens": 9, "totalTokens": 39, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 2}
CALL = {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Zürich"}}
CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "I look."}, {"toolUse": CALL}]}},
    "stopReason": "tool_use",
    "usage": USAGE,
    "metrics": {"latencyMs": 1},
}
CONVERSE_EVENTS = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "I look."}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"city": "Zürich"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
]
CLAUDE_EVENTS = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_bdrk_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 8, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 5},
    },
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 8, "outputTokenCount": 6}},
]
CLAUDE_REQUEST = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}


def reply(body, status=200, **headers):
    content = json.dumps(body, ensure_ascii=False).encode()
    return [_head(status, "application/json", headers | {"Content-Length": str(len(content))}), content]


def event_stream(messages):
    head = _head(200, "application/vnd.amazon.eventstream", {"Transfer-Encoding": "chunked"})
    return [head, *map(chunk, messages), LAST_CHUNK]


def _head(status, content_type, headers):
    all_headers = {"x-amzn-RequestId": "request-1", "Content-Type": content_type} | headers
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *(f"{n}: {v}" for n, v in all_headers.items()), "", ""]).encode()


class TlsFront:
    """TLS in front of the bridge: boto3 sends its bearer over TLS alone."""

    def __init__(self, port, tls):
        self._port, self._tls = port, tls
        self._tasks = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/api/v2/aibridge/bedrock"

    async def stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            with suppress(OSError, asyncio.CancelledError):  # also what TLS says of data that came after the end
                await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        finally:
            for one in (inner_writer, writer):  # whoever is here has read all, or left
                one.transport.abort()

    async def _copy(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


def check_signature(received, service="bedrock"):
    """Check a request as AWS does: with botocore's code, over what arrived."""
    (authorization,) = received.header("Authorization")
    names = re.search(r"SignedHeaders=([^,]+)", authorization)[1].split(";")
    headers = {name: received.header(name)[0] for name in names}
    received_names = {name.lower() for name, _ in received.headers}
    assert set(names) == {"host", "x-amz-date", "x-amz-security-token", *({"content-type"} & received_names)}
    request = AWSRequest(received.method, f"http://{headers['host']}{received.target}", headers, received.body)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials(KEYS.access_key_id, KEYS.secret_access_key), service, "us-east-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert authorization == (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
