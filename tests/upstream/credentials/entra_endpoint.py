"""A stand-in of Microsoft Entra's token endpoint, on loopback."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from tests.answering import Answer, AnsweringServer, Asked

SECRET = "app-secret~value"
GRANTED = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "eyJ0.token.1"}
REFUSED = {
    "error": "invalid_client",
    "error_description": "AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2 Timestamp: 3",
}


class EntraEndpoint:
    """Notes what it was sent, and gives tokens to who knows the secret, or has the platform's token; or `response`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.response: tuple[int, bytes] | None = None
        self._server = AnsweringServer(self._answer)
        self.url, self.close = self._server.url, self._server.close

    def _answer(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode(), strict_parsing=True).items()}
        self.requests.append((asked.path, form))
        return Answer(*(self.response or self.judge(form)), {"Content-Type": "application/json; charset=utf-8"})

    def judge(self, form: dict[str, str]) -> tuple[int, bytes]:
        knows = form.get("client_secret") == SECRET or form.get("client_assertion") == "platform.token"
        is_right = form["grant_type"] == "client_credentials" and form["client_id"] == "app-1"
        granted = knows and is_right
        return (200, json.dumps(GRANTED).encode()) if granted else (401, json.dumps(REFUSED).encode())

    def environ(self, **more: str) -> dict[str, str]:
        """What an operator sets to use it."""
        base = {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1", "AZURE_AUTHORITY_HOST": self.url}
        return base | (more or {"AZURE_CLIENT_SECRET": SECRET})


@pytest.fixture
def entra():
    endpoint = EntraEndpoint()
    yield endpoint
    endpoint.close()
