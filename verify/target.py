"""The bridge that is verified: where it is, who asks, how it is asked, and how a call to a model is made there."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Self
from urllib.parse import urlsplit

PREFIX = "/api/v2/aibridge"
INTERCEPTION_HEADER = "X-AI-Bridge-Interception-Id"
CONNECT_SECONDS = 5.0
"""How long a connection may take."""

RESPONSE_SECONDS = 30.0
"""How long the next bytes of a response may take. Some models think for longer; the checks do not wait for that."""

RECORD_SECONDS = 10.0
"""How long a record may take to have its end."""

PIECE_BYTES = 64 * 1024

_POLL_SECONDS = 0.1
DEMO = "demo"


class UnreachableError(Exception):
    """Nothing answers at the address. Its text is one line."""


class BrokenOffError(Exception):
    """The connection ended before the response did, or nothing came for `RESPONSE_SECONDS`."""


class FailedError(Exception):
    """A promise is not kept: what was expected, and what was seen instead."""

    def __init__(self, expected: str, seen: object) -> None:
        super().__init__(f"expected {expected}, saw {seen}")


class SkippedError(Exception):
    """A check that says nothing here. Its text says why."""


@dataclass(frozen=True)
class BridgeAddress:
    """Where a bridge answers."""

    host: str
    port: int
    tls: bool
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: It is not http or https, or has no host.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an address: {url}; it looks like http://127.0.0.1:4001")
        tls = parts.scheme == "https"
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    def connect(self) -> HTTPConnection:
        """Open a connection.

        Raises:
            UnreachableError: Nobody is there.
        """
        if self.tls:
            tls = ssl.create_default_context()
            connection: HTTPConnection = HTTPSConnection(self.host, self.port, timeout=CONNECT_SECONDS, context=tls)
        else:
            connection = HTTPConnection(self.host, self.port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            reason = error.strerror or str(error) or "no answer"
            raise UnreachableError(f"{self.host}:{self.port} cannot be reached: {reason}") from error
        connection.sock.settimeout(RESPONSE_SECONDS)
        return connection


class Reply:
    """The head of a response; its body is still to come."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        """The value of a header, empty when it is not there."""
        return self._response.headers.get(name, "")

    def pieces(self) -> Iterator[bytes]:
        """The body, each piece as it comes."""
        while piece := self._response.read1(PIECE_BYTES):
            yield piece

    def body(self) -> bytes:
        """The whole body."""
        return self._response.read()

    def json(self) -> Any:
        """The whole body as JSON; None if it is not JSON."""
        try:
            return json.loads(self.body())
        except ValueError:
            return None


@contextmanager
def request(
    address: BridgeAddress, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> Iterator[Reply]:
    """Send a request on a connection of its own, which is closed at once at the end.

    Raises:
        UnreachableError: Nobody is there.
        BrokenOffError: The connection ended before the response did, or that stopped.
    """
    connection, response = address.connect(), None
    try:
        connection.request(method, address.prefix + path, body, dict(headers))
        response = connection.getresponse()
        yield Reply(response)
    except TimeoutError as error:
        raise BrokenOffError(f"no answer came within {RESPONSE_SECONDS:.0f} s") from error
    except (HTTPException, ConnectionError) as error:
        raise BrokenOffError("the connection ended before an answer came") from error
    finally:
        if response is not None:
            response.close()
        connection.close()


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
    ) -> AbstractContextManager[Reply]:
        """Ask on a connection of its own, with the token unless headers are given."""
        return request(self.address, method, path, self.credentials if headers is None else headers, body)

    def path(self, dialect: VendorCall | None = None) -> str:
        """Where calls go."""
        return f"{PREFIX}/{self.provider}{(dialect or self.dialect).route}"

    @contextmanager
    def call(self, prompt: str, *, stream: bool = False, headers: Mapping[str, str] | None = None) -> Iterator[Reply]:
        """Call the model.

        Raises:
            SkippedError: No model may be called.
            FailedError: Its status is not 200.
        """
        if self.model is None:
            raise SkippedError("a call would cost money: name a --model, and its --provider, to allow it")
        sent = {**self.credentials, "Content-Type": "application/json", **(headers or {})}
        body = self.dialect.request(self.model, prompt=prompt, stream=stream)
        with self.request("POST", self.path(), sent, body) as response:
            if response.status != HTTPStatus.OK:
                raise FailedError("status 200", f"{response.status} {(response.body())[:300]!r}")
            yield response

    def record(self, interception_id: str) -> dict[str, Any]:
        """The record of a call, when it has ended.

        Raises:
            FailedError: It is not there in time.
        """
        if not interception_id:
            raise FailedError(f"a header {INTERCEPTION_HEADER}", "none")
        path = f"{PREFIX}/interceptions?q=request_id:{interception_id}"
        over_at = time.monotonic() + RECORD_SECONDS
        while time.monotonic() < over_at:
            with self.request("GET", path) as response:
                found = (response.json() or {}).get("results") or [{"status": "in_flight"}]
            if found[0]["status"] != "in_flight":
                return dict(found[0])
            time.sleep(_POLL_SECONDS)
        raise FailedError("a record with an end", f"none within {RECORD_SECONDS:.0f} s")


def find_target(address: BridgeAddress, token: str, provider: str | None, model: str | None) -> Target:
    """Find out which provider to ask for: the one that is named, else the demo provider, else the first that can be called.

    Raises:
        UnreachableError: No bridge answers at the address.
        FailedError: There is no provider that can be called, or the token is not valid.
    """
    with request(address, "GET", f"{PREFIX}/-/", {"Authorization": f"Bearer {token}"}) as response:
        body = response.json()
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
            with target.request("POST", target.path(), body=b"") as response:
                response.body()
            if response.status != HTTPStatus.NOT_FOUND:
                return target
    raise FailedError(f"a provider with {ANTHROPIC.route} or {OPENAI.route}", provider or ", ".join(known))
