"""boto3 and Anthropic's client for Bedrock through the bridge, before a stand-in that checks the signature."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.intercept.formats.event_streams import chunk as bedrock_chunk
from tests.intercept.formats.event_streams import event
from tests.sdk.bedrock import (
    ARN,
    CLAUDE_EVENTS,
    CLAUDE_REQUEST,
    CONVERSE_EVENTS,
    CONVERSED,
    KEYS,
    MESSAGES,
    TlsFront,
    check_signature,
    event_stream,
    reply,
)
from tests.sdk.libraries import anthropic_sdk, boto3
from tests.sdk.wiring import essence, record, tokens
from upstream.credentials.aws import AwsAuthorizer
from upstream.credentials.keys import KeyPool
from upstream.credentials.sigv4 import Scope
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider

TOKENS = [tokens(30, 9, read=4, write=2)]


def record_of(**differences):
    return record("bedrock", model=ARN, upstream_request_id="request-1") | differences


CONVERSE_RECORD = record_of(
    user_prompts=["Weather in Zürich?"],
    token_usages=TOKENS,
    tool_usages=[("tooluse_1", "weather", '{"city": "Zürich"}')],
)


@pytest.fixture
def bedrock(running):
    """Bedrock, as the bridge knows it: signed, in us-east-1."""
    authorizer = AwsAuthorizer(lambda: KEYS, Scope("us-east-1", "bedrock"), lambda: datetime.now(UTC))
    provider = Provider(
        "bedrock", ProviderType.BEDROCK, running.upstream.url, region="us-east-1", authorizer=authorizer
    )
    running.bridge.providers["bedrock"] = provider
    return provider


@pytest.fixture
def url(io_loop, running, bedrock, server_tls):
    """Where the bridge has Bedrock over TLS."""
    front = TlsFront(running.port, server_tls)
    yield io_loop.run_sync(front.start)
    io_loop.run_sync(front.stop)


@pytest.fixture
def runtime(running, url, authority, monkeypatch):
    """Calls a method of boto3's client of the bridge in a thread; what reads its answer runs there too."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", running.token)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def call(method, read, arguments):
        settings = Config(retries={"max_attempts": 0}, connect_timeout=10, read_timeout=15)
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            verify=str(authority / "ca.pem"),
            config=settings,
        )
        try:
            return read(getattr(client, method)(**arguments))
        finally:
            client.close()

    return lambda method, read, **arguments: asyncio.to_thread(call, method, read, arguments)


def check_request(running, suffix):
    """The one request that the provider got was signed by the bridge, and has nothing of the client's credentials."""
    (received,) = running.upstream.requests
    check_signature(received)
    assert received.target == f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/{suffix}"
    assert running.token not in str(received.headers)
    return json.loads(received.body)


def read_events(stream):
    """All events of a stream, which is closed also where one is an exception."""
    try:
        return list(stream)
    finally:
        stream.close()


async def test_boto3_converses(running, runtime):
    running.upstream.play(*reply(CONVERSED))
    result = await runtime("converse", lambda response: response, modelId=ARN, messages=MESSAGES)
    assert result["output"] == CONVERSED["output"]
    assert result["ResponseMetadata"]["RequestId"] == "request-1"
    assert check_request(running, "converse") == {"messages": MESSAGES}
    (recorded,) = await running.ended(1)
    assert essence(recorded) == CONVERSE_RECORD
    assert recorded["credential_hint"] == "AK...00"


async def test_boto3_converses_in_a_stream(running, runtime):
    running.upstream.play(*event_stream([event(*each) for each in CONVERSE_EVENTS]))
    result = await runtime(
        "converse_stream", lambda response: read_events(response["stream"]), modelId=ARN, messages=MESSAGES
    )
    assert result == [{kind: payload} for kind, payload in CONVERSE_EVENTS]
    check_request(running, "converse-stream")
    (recorded,) = await running.ended(1)
    assert essence(recorded) == CONVERSE_RECORD | {"streaming": True}


async def test_boto3_invokes_claude_in_a_stream(running, runtime):
    running.upstream.play(*event_stream(map(bedrock_chunk, CLAUDE_EVENTS)))
    body = json.dumps(CLAUDE_REQUEST).encode()
    result = await runtime(
        "invoke_model_with_response_stream",
        lambda response: [json.loads(each["chunk"]["bytes"]) for each in response["body"]],
        modelId=ARN,
        body=body,
    )
    assert result == CLAUDE_EVENTS
    check_request(running, "invoke-with-response-stream")
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record_of(streaming=True, user_prompts=["Hi"], token_usages=[tokens(8, 5, read=None)])


async def test_a_bedrock_key_goes_as_a_bearer_and_a_refused_one_gives_way(running, runtime):
    running.bridge.key_pools["bedrock"] = KeyPool(("ABSK-first", "ABSK-second"), lambda: 0.0, lambda: datetime.now(UTC))
    running.upstream.play(*reply({"message": "slow down"}, 429))
    running.upstream.play(*reply(CONVERSED))
    await runtime("converse", lambda response: response, modelId=ARN, messages=MESSAGES)
    sent = [received.header("Authorization") for received in running.upstream.requests]
    assert sent == [["Bearer ABSK-first"], ["Bearer ABSK-second"]]


async def test_a_refusal_of_the_bridge_is_one_that_boto3_reads(running, runtime, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "no-token")
    with pytest.raises(ClientError) as raised:
        await runtime("converse", lambda response: response, modelId=ARN, messages=MESSAGES)
    assert raised.value.response["Error"] == {
        "Code": "UnrecognizedClientException",
        "Message": "The token is not valid: it is unknown, expired or revoked.",
    }
    assert re.fullmatch(r"[0-9a-f-]{36}", raised.value.response["ResponseMetadata"]["RequestId"])
    assert running.upstream.requests == []


async def test_a_signature_of_the_client_never_goes_upstream(running, bedrock):
    running.upstream.play(*reply(CONVERSED))
    client = await running.client()
    headers = {
        "X-Coder-AI-Governance-Token": running.token,
        "Authorization": "AWS4-HMAC-SHA256 Credential=CLIENT/20260301/us-east-1/bedrock/aws4_request",
        "X-Amz-Date": "20260301T000000Z",
        "X-Amz-Security-Token": "client-token",
        "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
        "Content-Type": "application/json",
    }
    path = "/api/v2/aibridge/bedrock/model/m:0/converse?X-Amz-Signature=client&X-Amz-Security-Token=client&a=1"
    answered = await client.request("POST", path, headers, b'{"messages":[]}')
    assert answered.status == 200
    (received,) = running.upstream.requests
    check_signature(received)
    assert received.target == "/model/m:0/converse?a=1"
    assert "client" not in str(received.headers).lower().replace("amz-sdk", "")


async def test_anthropics_client_for_bedrock_streams(running, bedrock):
    running.upstream.play(*event_stream(map(bedrock_chunk, CLAUDE_EVENTS)))
    url = f"http://127.0.0.1:{running.port}/api/v2/aibridge/bedrock"
    client = anthropic_sdk.AsyncAnthropicBedrock(
        api_key=running.token, aws_region="us-east-1", base_url=url, max_retries=0
    )
    async with client.messages.stream(
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0", max_tokens=9, messages=CLAUDE_REQUEST["messages"]
    ) as streamed:
        assert await streamed.get_final_text() == "Grüße"
    await client.close()
    check_signature(running.upstream.requests[0])
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["model"], recorded["streaming"]) == (
        "completed",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        True,
    )


@pytest.mark.parametrize(
    ("kind", "service", "target"),
    [
        (ProviderType.BEDROCK_MANTLE, "bedrock-mantle", "/anthropic/v1/messages?beta=true"),
        (ProviderType.CLAUDE_AWS, "aws-external-anthropic", "/v1/messages?beta=true"),
    ],
)
async def test_messages_on_aws_are_signed_for_their_service(running, kind, service, target):
    authorizer = AwsAuthorizer(lambda: KEYS, Scope("us-east-1", service), lambda: datetime.now(UTC))
    running.bridge.providers["aws"] = Provider("aws", kind, running.upstream.url, authorizer=authorizer)
    running.upstream.play(*reply(CLAUDE_EVENTS[0]["message"]))
    client = await running.client()
    body = json.dumps(CLAUDE_REQUEST | {"model": "m"}).encode()
    headers = running.headers | {"anthropic-workspace-id": "workspace-1"}
    answered = await client.request("POST", "/api/v2/aibridge/aws/v1/messages?beta=true", headers, body)
    (received,) = running.upstream.requests
    check_signature(received, service)
    assert (answered.status, received.target, received.body) == (200, target, body)
    assert received.header("anthropic-workspace-id") == ["workspace-1"]
    (recorded,) = await running.ended(1)
    assert (recorded["model"], recorded["end_reason"]) == ("m", "completed")
