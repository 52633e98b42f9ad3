"""A stand-in of Microsoft Entra's token endpoint, on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

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
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(sent, strict_parsing=True).items()}
                endpoint.requests.append((self.path, form))
                status, body = endpoint.response or endpoint.judge(form)
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def judge(self, form: dict[str, str]) -> tuple[int, bytes]:
        knows = form.get("client_secret") == SECRET or form.get("client_assertion") == "platform.token"
        is_right = form["grant_type"] == "client_credentials" and form["client_id"] == "app-1"
        granted = knows and is_right
        return (200, json.dumps(GRANTED).encode()) if granted else (401, json.dumps(REFUSED).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def environ(self, **more: str) -> dict[str, str]:
        """What an operator sets to use it."""
        base = {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1", "AZURE_AUTHORITY_HOST": self.url}
        return base | (more or {"AZURE_CLIENT_SECRET": SECRET})


@pytest.fixture
def entra():
    endpoint = EntraEndpoint()
    yield endpoint
    endpoint.close()
