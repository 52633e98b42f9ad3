"""Requests to Bedrock: `intercept/dialects/bedrock/requests.py`, whole and abridged."""

from __future__ import annotations

from msgspec import to_builtins
from msgspec.structs import replace

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.bedrock.requests import parse_request
from intercept.formats.large_bodies import abridged
from intercept.formats.steps import finish
from tests.intercept.malformed_responses import is_storable

SEEDS = [
    b'{"messages":[{"role":"user","content":[{"text":"Hi"},{"toolResult":{"toolUseId":"t1","content":[]}}]}]}',
    b'{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"Hi"}],"metadata":{"user_id":"u"}}',
    b'{"prompt":"Hi","stream":false}',
    b'{"inputText":"Hi"}',
]
WORDS = [
    *(b'"messages":[', b'"role":"user"', b'"content":[', b'"toolResult":{', b'"toolUseId":"', b'"tool_use_id":"'),
    *(b'"prompt":"', b'"inputText":"', b'"metadata":{', b'"model":"', b'"stream":true', rb"\ud83d", b"\xff"),
]


def check(data: bytes) -> None:
    """What is read is fit for MongoDB, and the same of the abridged body; or both are refused."""
    whole = _parsed(data, whole=True)
    assert _parsed(data, whole=False) == whole
    assert whole is None or is_storable(to_builtins(whole))


def _parsed(data: bytes, *, whole: bool) -> RequestSummary | None:
    try:
        summary = parse_request(data if whole else finish(abridged(data)), "m")
    except InvalidRequestError:
        return None
    return replace(summary, blocks=None)  # an abridged body has none
