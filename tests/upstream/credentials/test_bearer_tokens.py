import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import external_account

from upstream.credentials.bearer_tokens import google_fetcher

START = 1_000_000.0


class TokenServer(BaseHTTPRequestHandler):
    """Google's token endpoint."""

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        granted = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in sent
        if "subject_token=platform.token" in sent:
            granted = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange" in sent
        status, result = (
            (200, {"access_token": "ya29.token", "expires_in": 3600}) if granted else (400, {"error": "no"})
        )
        self.respond(status, result)

    def do_GET(self):
        self.respond(403, {"error": "no project is told"})

    def respond(self, status, result):
        body = json.dumps(result).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def token_server():
    server = HTTPServer(("127.0.0.1", 0), TokenServer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def account(token_server):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "client_email": "bridge@project.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": pem,
        "token_uri": token_server,
    }


def test_a_service_account_gets_a_token_by_its_key(account):
    token = google_fetcher(account)()
    assert token.text == "ya29.token"
    assert token.expires_at > 1_700_000_000


def test_an_account_in_a_file_is_found_and_read_once(account, monkeypatch, tmp_path):
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    fetch = google_fetcher(None)
    assert fetch().text == "ya29.token"
    file.unlink()
    assert fetch().text == "ya29.token"


def test_a_workload_identity_gets_a_token_for_that_of_its_platform(token_server, monkeypatch, tmp_path):
    (tmp_path / "platform-token").write_text("platform.token")
    pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider"
    identity = {
        "type": "external_account",
        "audience": pool,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": token_server,
        "credential_source": {"file": str(tmp_path / "platform-token")},
    }
    file = tmp_path / "identity.json"
    file.write_text(json.dumps(identity))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    # google-auth asks for the name of the project too, which nothing here needs.
    monkeypatch.setattr(external_account, "_CLOUD_RESOURCE_MANAGER", f"{token_server}/projects/")
    assert google_fetcher(None)().text == "ya29.token"


def test_where_nothing_is_found_the_reason_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(Exception, match=r"nothing\.json"):
        google_fetcher(None)()
