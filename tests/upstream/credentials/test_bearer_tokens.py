import asyncio
import json
from contextlib import closing
from time import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import external_account

from tests.answering import Answer, AnsweringServer
from tests.cases import for_each
from tests.upstream.credentials.entra_endpoint import GRANTED, SECRET
from upstream.client import CredentialError
from upstream.credentials.bearer_tokens import (
    AUTHORITY,
    NO_TOKEN,
    BearerAuthorizer,
    EntraApplication,
    EntraError,
    azure_fetcher,
    google_fetcher,
)

START = 1_000_000.0


def grant(asked):
    """Answer as Google's token endpoint."""
    if asked.method == "GET":
        return Answer(403, {"error": "no project is told"})
    sent = asked.body.decode()
    granted = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in sent
    if "subject_token=platform.token" in sent:
        granted = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange" in sent
    return Answer(200, {"access_token": "ya29.token", "expires_in": 3600}) if granted else Answer(400, {"error": "no"})


@pytest.fixture
def token_server():
    with closing(AnsweringServer(grant)) as server:
        yield f"{server.url}/token"


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


SCOPE = "https://cognitiveservices.azure.com/.default"


def test_an_application_gets_a_token_by_its_secret(entra):
    text, expires_at = EntraApplication.of(entra.environ()).fetch()
    assert text == "eyJ0.token.1"
    assert expires_at - time() == pytest.approx(3599, abs=60)
    assert entra.requests == [
        (
            "/tenant-1/oauth2/v2.0/token",
            {"grant_type": "client_credentials", "client_id": "app-1", "scope": SCOPE, "client_secret": SECRET},
        )
    ]


def test_a_workload_gets_a_token_by_that_of_its_platform_read_each_time(entra, tmp_path):
    file = tmp_path / "token"
    file.write_text("an.old.one\n")
    application = EntraApplication.of(entra.environ(AZURE_FEDERATED_TOKEN_FILE=str(file)))
    with pytest.raises(
        EntraError, match=r"^Microsoft Entra refused with status 401: AADSTS7000215: Invalid client secret"
    ):
        application.fetch()
    file.write_text("platform.token\n")
    assert application.fetch()[0] == "eyJ0.token.1"
    assert entra.requests[-1][1] == {
        "grant_type": "client_credentials",
        "client_id": "app-1",
        "scope": SCOPE,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "platform.token",
    }
    file.unlink()
    with pytest.raises(EntraError, match=r"^AZURE_FEDERATED_TOKEN_FILE cannot be read: "):
        application.fetch()


@for_each(
    ("response", "said"),
    (
        (401, b'{"error": "invalid_client", "error_description": "AADSTS1: Wrong.\\r\\nTrace ID: 1"}'),
        "401: AADSTS1: Wrong.",
    ),
    ((400, b'{"error": "invalid_request"}'), "Microsoft Entra refused with status 400: invalid_request"),
    ((503, b"<html>"), "it refused with status 503"),
    ((429, b"[]"), "it refused with status 429"),
    ((200, b"{}"), "the token endpoint of Microsoft Entra sent no token"),
    ((200, b'{"access_token": "t", "expires_in": "soon"}'), "the token endpoint of Microsoft Entra sent no token"),
    ((200, b'{"access_token": "t", "expires_in": -1}'), "the token endpoint of Microsoft Entra sent no token"),
    ((200, b'{"access_token": 7, "expires_in": 9}'), "the token endpoint of Microsoft Entra sent no token"),
    ((200, b'{"access_token": "\xff", "expires_in": 9}'), "the token endpoint of Microsoft Entra sent no token"),
    ((200, b"no JSON"), "the token endpoint of Microsoft Entra sent no token"),
)
def test_why_there_is_no_token_is_said_in_words_without_a_secret(entra, response, said):
    entra.response = response
    with pytest.raises(EntraError) as refused:
        EntraApplication.of(entra.environ()).fetch()
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "Trace ID" not in str(refused.value)


def test_a_time_that_is_text_is_read(entra):
    entra.response = (200, json.dumps(GRANTED | {"expires_in": "3599"}).encode())
    assert EntraApplication.of(entra.environ()).fetch()[1] > time()


def test_an_endpoint_that_is_not_there_or_not_safe_is_said():
    environ = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    for host, said in (
        ("http://127.0.0.1:9", "the token endpoint of Microsoft Entra cannot be reached: "),
        ("http://entra.example", "AZURE_AUTHORITY_HOST must be an https address"),
    ):
        with pytest.raises(EntraError, match=said):
            EntraApplication.of(environ | {"AZURE_AUTHORITY_HOST": host}).fetch()


def test_an_application_is_found_where_all_of_it_is_set():
    whole = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s3cret"}
    found = EntraApplication.of(whole)
    assert (found.authority, "s3cret" in repr(found)) == (AUTHORITY, False)
    assert EntraApplication.of(whole | {"AZURE_AUTHORITY_HOST": "login.example/"}).authority == "https://login.example"
    for missing in whole:
        assert EntraApplication.of({name: value for name, value in whole.items() if name != missing}) is None


async def test_a_token_is_renewed_ahead_of_its_end(entra):
    now = [time()]
    authorizer = BearerAuthorizer(azure_fetcher(entra.environ()), lambda: now[0])
    first = await authorizer.authorize("POST", "https://h/", [], b"")
    assert first == [("Authorization", "Bearer eyJ0.token.1")]
    # It lasts beyond the time that the clock is set to.
    entra.response = (200, json.dumps(GRANTED | {"access_token": "eyJ0.token.2", "expires_in": 7200}).encode())
    now[0] += 3400
    assert await authorizer.authorize("POST", "https://h/", [], b"") == first
    second = [("Authorization", "Bearer eyJ0.token.2")]
    while await authorizer.authorize("POST", "https://h/", [], b"") != second:  # noqa: ASYNC110 - a thread has no event
        await asyncio.sleep(0.001)
    assert len(entra.requests) == 2


@pytest.mark.expects_log(
    "no credential: EntraError: Microsoft Entra refused with status 401: AADSTS7000215: Invalid client"
)
async def test_a_refused_application_is_logged_in_the_words_of_entra(entra):
    authorizer = BearerAuthorizer(azure_fetcher(entra.environ(AZURE_CLIENT_SECRET="wrong")), time)
    with pytest.raises(CredentialError, match=NO_TOKEN):
        await authorizer.authorize("POST", "https://h/", [], b"")
