"""Checks whether a provider can be reached with each key, by a request for its models, which costs nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import msgspec
from msgspec import Struct, structs

from upstream.client import UpstreamClient, UpstreamError, UpstreamResponse
from upstream.credentials.access import credential_header, credential_hint
from upstream.headers import Headers
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider

CHECK_SECONDS = 10.0
"""How long a provider may take to answer."""

MAX_LIST_BYTES = 1024 * 1024
"""How much of a list of models is read."""

_TOO_LATE = f"the provider did not answer within {CHECK_SECONDS:.0f} s"
_OK, _REDIRECT, _BAD_REQUEST, _SERVER_ERROR = 200, 300, 400, 500


class CheckResult(Struct, frozen=True):
    """The result for a key.

    `hint` identifies the key, "" without one; without a response `status` is None. `models` is the number that it lists;
    None if unknown.
    """

    hint: str
    is_well: bool
    status: int | None
    message: str
    models: int | None = None


async def check_provider(provider: Provider, client: UpstreamClient) -> list[CheckResult]:
    """Request the models of a provider with each of its keys, one after the other, or without a key."""
    return [await _check(provider, key, client) for key in provider.keys or (None,)]


async def _check(provider: Provider, key: str | None, client: UpstreamClient) -> CheckResult:
    hint = "" if key is None else credential_hint(key)
    path = _models_path(provider)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            url = provider.url(path or "/", "")
            headers: Headers = [("Accept", "application/json"), *provider.preset.dialect.check_headers]
            if key is not None:
                headers.append(credential_header(provider.expects, key))
            elif provider.authorizer is not None:
                headers += await provider.authorizer.authorize("GET", url, headers, b"")
            with closing(await client.open("GET", url, headers, b"", network=provider.network)) as response:
                body, cut = await _read(response)
    except UpstreamError as error:
        return CheckResult(hint, False, None, str(error))
    except TimeoutError:
        return CheckResult(hint, False, None, _TOO_LATE)
    result = _judge(provider, hint, response, body, lists_models=path is not None)
    # Half a list is no sign of a wrong address.
    return (
        structs.replace(result, message=cut) if cut and not result.is_well and response.status < _REDIRECT else result
    )


async def _read(response: UpstreamResponse) -> tuple[bytes, str]:
    """Read the beginning of a body, and what cut it off; "" where nothing did."""
    body = bytearray()

    def read_piece(piece: bytes) -> bool:
        body.extend(piece)
        return len(body) < MAX_LIST_BYTES

    try:
        await response.stream_to(read_piece)
    except UpstreamError as error:
        return bytes(body), str(error)
    return bytes(body), ""


def _models_path(provider: Provider) -> str | None:
    """Where its models are listed; None where a provider of its type lists none.

    Of OpenRouter, which lets anybody list them, it is what it says of the key.
    """
    if provider.type is ProviderType.OPENROUTER:
        return "/v1/key"
    path = provider.preset.dialect.models_path
    return path if path and any("GET" in route.methods for route in provider.find_routes(path)) else None


def _judge(
    provider: Provider, hint: str, response: UpstreamResponse, body: bytes, *, lists_models: bool
) -> CheckResult:
    status = response.status
    refused = status == 401 or (  # noqa: PLR2004 - of HTTP, here and below
        status == _BAD_REQUEST and provider.preset.dialect.read_refusal(body).is_invalid_key
    )
    if refused and not hint and provider.authorizer is None:
        if provider.preset.is_own_key_only or not provider.keyless:
            return CheckResult(hint, True, status, "reached; it wants a credential, which each user brings")
        return CheckResult(hint, False, status, f"reached, but it wants a key ({status}): give it one")
    if refused:
        return CheckResult(hint, False, status, f"the provider refuses the key ({status})")
    if status == 403:  # noqa: PLR2004
        return CheckResult(hint, not lists_models, status, "reached; the key may not list the models (403)")
    if not lists_models:
        well = status < _SERVER_ERROR
        return CheckResult(hint, well, status, f"reached ({status}); a provider of its type lists no models")
    if status == 429:  # noqa: PLR2004
        return CheckResult(hint, True, status, "reached; a rate limit of the provider holds the key back (429)")
    if status == 404:  # noqa: PLR2004
        usual = provider.preset.base_url
        advice = f", such as {usual}" if usual else ""
        return CheckResult(hint, False, status, f"nothing is found there (404): check the base URL{advice}")
    if _OK <= status < _REDIRECT:
        return _judge_list(hint, status, body)
    if _REDIRECT <= status < _BAD_REQUEST:
        return CheckResult(
            hint, False, status, f"the provider redirects ({status}): give the base URL that it leads to"
        )
    return CheckResult(hint, False, status, f"the provider answers {status} to the question for its models")


def _judge_list(hint: str, status: int, body: bytes) -> CheckResult:
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if len(body) >= MAX_LIST_BYTES and body.lstrip()[:1] in {b"{", b"["}:
            return CheckResult(hint, True, status, "reached; it lists more models than are counted")
        return CheckResult(
            hint, False, status, f"what is there answers {status}, but not with a list of models: check the base URL"
        )
    listed = decoded.get("data", decoded.get("models")) if isinstance(decoded, dict) else decoded
    if not isinstance(listed, list):
        return CheckResult(hint, True, status, "reached")
    return CheckResult(hint, True, status, f"reached; it lists {len(listed)} models", len(listed))
