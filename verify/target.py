"""The bridge that is verified: where it is, who asks, and how a call to a model is made there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from verify.wire import BridgeAddress, Reply, request

PREFIX = "/api/v2/aibridge"
INTERCEPTION_HEADER = "X-AI-Bridge-Interception-Id"
RECORD_SECONDS = 10.0
"""How long a record may take to have its end."""

_POLL_SECONDS = 0.1
DEMO = "demo"


class FailedError(Exception):
    """A promise is not kept: what was expected, and what was seen instead."""

    def __init__(self, expected: str, seen: object) -> None:
        super().__init__(f"expected {expected}, saw {seen}")


class SkippedError(Exception):
    """A check that says nothing here. Its text says why."""


@dataclass(frozen=True)
class VendorCall:
    """How a call is made in the words of one vendor, and where its errors have their type."""

    route: str
    body: Mapping[str, Any]
    error_type: str

    def request(self, model: str | None, *, prompt: str, stream: bool) -> bytes:
        """The body of a call."""
        message = {"role": "user", "content": prompt}
        return json.dumps({"model": model, "stream": stream, "messages": [message], **self.body}).encode()


ANTHROPIC = VendorCall("/v1/messages", {"max_tokens": 64}, "authentication_error")
OPENAI = VendorCall("/v1/chat/completions", {}, "invalid_request_error")


@dataclass(frozen=True)
class Target:
    """A running bridge; `provider` is one of its providers, whose `model` may be called if there is one, in `dialect`."""

    address: BridgeAddress
    token: str = field(repr=False)
    provider: str
    model: str | None
    dialect: VendorCall = ANTHROPIC

    @property
    def credentials(self) -> dict[str, str]:
        """What says who asks."""
        return {"Authorization": f"Bearer {self.token}"}

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        """Ask on a connection of its own, with the token unless headers are given."""
        return request(self.address, method, path, self.credentials if headers is None else headers, body)

    def path(self, dialect: VendorCall | None = None) -> str:
        """Where calls go."""
        return f"{PREFIX}/{self.provider}{(dialect or self.dialect).route}"

    @asynccontextmanager
    async def call(
        self, prompt: str, *, stream: bool = False, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Reply]:
        """Call the model.

        Raises:
            SkippedError: No model may be called.
            FailedError: Its status is not 200.
        """
        if self.model is None:
            raise SkippedError("a call would cost money: name a --model, and its --provider, to allow it")
        sent = {**self.credentials, "Content-Type": "application/json", **(headers or {})}
        body = self.dialect.request(self.model, prompt=prompt, stream=stream)
        async with self.request("POST", self.path(), sent, body) as response:
            if response.status != HTTPStatus.OK:
                raise FailedError("status 200", f"{response.status} {(await response.body())[:300]!r}")
            yield response

    async def record(self, interception_id: str) -> dict[str, Any]:
        """The record of a call, when it has ended.

        Raises:
            FailedError: It is not there in time.
        """
        if not interception_id:
            raise FailedError(f"a header {INTERCEPTION_HEADER}", "none")
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                while True:
                    path = f"{PREFIX}/interceptions?q=request_id:{interception_id}"
                    async with self.request("GET", path) as response:
                        found = (await response.json() or {}).get("results") or [{"status": "in_flight"}]
                    if found[0]["status"] != "in_flight":
                        return dict(found[0])
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise FailedError("a record with an end", f"none within {RECORD_SECONDS:.0f} s") from None


async def find_target(address: BridgeAddress, token: str, provider: str | None, model: str | None) -> Target:
    """Find out which provider to ask for: the one that is named, else the demo provider, else the first that can be called.

    Raises:
        UnreachableError: No bridge answers at the address.
        FailedError: There is no provider that can be called, or the token is not valid.
    """
    async with request(address, "GET", f"{PREFIX}/-/", {"Authorization": f"Bearer {token}"}) as response:
        body = await response.json()
    message = body.get("message", "") if isinstance(body, dict) else ""
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise FailedError("a valid token", message)
    known = message.partition("configured providers: ")[2].split(", ")
    if known in ([""], ["none"]):
        raise FailedError("an AI Bridge with a provider", f"{response.status} {message or body}")
    if provider is not None and provider not in known:
        raise FailedError(f"one of the providers {', '.join(known)}", provider)
    for name in [provider] if provider else sorted(known, key=lambda one: one != DEMO):
        for dialect in (ANTHROPIC, OPENAI):
            target = Target(address, token, name, model or (DEMO if name == DEMO else None), dialect)
            async with target.request("POST", target.path(), body=b"") as response:
                await response.body()
            if response.status != HTTPStatus.NOT_FOUND:
                return target
    raise FailedError(f"a provider with {ANTHROPIC.route} or {OPENAI.route}", provider or ", ".join(known))
