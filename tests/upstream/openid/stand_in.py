"""A provider that answers as a test wants, also in ways that no certified one does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.upstream.openid.tokens import private_key, published, signed

Response = tuple[int, bytes]


class StandIn:
    """A server on loopback; `responses` are by path, each what is sent for it or what makes that of the request."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.authorization: list[str] = []
        self.nonce = ""

    def _listen(self, server: asyncio.Server) -> None:
        self._server = server
        self.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.discovery: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/me",
        }
        self.responses: dict[str, Callable[[], Awaitable[Response]] | Response] = {
            "/keys": (200, published(private_key()))
        }

    @classmethod
    async def start(cls) -> Self:
        """Listen."""
        stand_in = cls()
        server = await asyncio.start_server(stand_in._serve, "127.0.0.1", 0)
        stand_in._listen(server)
        return stand_in

    async def stop(self) -> None:
        """Listen no more."""
        self._server.close()
        await self._server.wait_closed()

    def claims(self, now: float, **more: Any) -> dict[str, Any]:
        """The claims of a good ID token."""
        known = {"iss": self.issuer, "aud": "ai-bridge", "nonce": self.nonce, "sub": "s", "email": "ada@example.com"}
        return known | {"email_verified": True, "iat": now, "exp": now + 300} | more

    def give(self, id_token: str, **more: Any) -> None:
        """Answer with this ID token."""
        self.responses["/token"] = (200, json.dumps({"id_token": id_token, "token_type": "Bearer"} | more).encode())

    def sign_in(self, now: float, **claims: Any) -> None:
        """Sign somebody in."""
        self.give(signed(self.claims(now, **claims)), access_token="an-access-token")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        path = head[0].split(" ")[1]
        self.paths.append(path)
        self.authorization.append(headers.get("authorization", ""))
        if length := int(headers.get("content-length", 0)):
            self.forms.append(dict(parse_qsl((await reader.readexactly(length)).decode())))
        response = self.responses.get(path, (404, b""))
        if path == "/.well-known/openid-configuration" and path not in self.responses:
            response = (200, json.dumps(self.discovery).encode())
        status, body = response if isinstance(response, tuple) else await response()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        writer.close()
