"""The server with a certificate of its own: a process, real sockets, TLS as clients speak it."""

import asyncio
import json
import shutil
import signal
import ssl
from contextlib import suppress

import pytest

from commands import servers as local_servers
from tests.command_line import invoke
from tests.server_process import ServerProcess
from tests.upstream.throwaway_ca import openssl


@pytest.fixture
def certificate(authority, tmp_path):
    """A file with the server's certificate and key, which a test may change."""
    return shutil.copy(authority / "server.pem", tmp_path / "server.pem")


@pytest.fixture
def start(tmp_path, mongodb_uri, database_name):
    where = {"AIBRIDGE_MONGODB_URI": mongodb_uri, "AIBRIDGE_MONGODB_DATABASE": database_name}
    where["TMPDIR"] = str(tmp_path)
    processes = []

    def start(*flags):
        data = ["--http-address", "127.0.0.1:0", "--data-dir", tmp_path / "data"]
        processes.append(ServerProcess("serve", "--demo", *data, *flags, **where))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def port_of(server):
    return int(server.stderr.find(r"INFO aibridge: AI Bridge is listening on https://127\.0\.0\.1:(\d+)")[1])


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def get(port, tls, path, *, method="GET", headers="", body=b""):
    """One request on a connection of its own: the status, the body, and what TLS agreed on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    tls_object = writer.get_extra_info("ssl_object")
    agreed = (tls_object.selected_alpn_protocol(), tls_object.version(), tls_object.getpeercert(binary_form=True))
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    response = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(response.lower().partition("content-length: ")[2].split()[0])
    rest = await reader.readexactly(length)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return int(response.split()[1]), rest, agreed


@pytest.mark.gen_test(timeout=60)
async def test_the_workers_of_a_server_with_a_certificate_speak_tls_and_nothing_else(
    start, certificate, trusting, monkeypatch, tmp_path
):
    monkeypatch.setattr(local_servers, "FOLDER", tmp_path / local_servers.FOLDER.name)
    server = start("--tls-cert-file", certificate, "--workers", "2")
    port = port_of(server)
    status, body, (protocol, version, _) = await get(port, trusting, "/healthz")
    assert (status, json.loads(body), protocol, version) == (200, {"status": "ok"}, "http/1.1", "TLSv1.3")
    _, large, _ = await get(port, trusting, "/openapi.json")
    assert large.endswith(b"}")
    health = await asyncio.to_thread(invoke, "health")
    assert (health.exit_code, health.output) == (0, f"https://127.0.0.1:{port} answers.\n")
    assert f"https://127.0.0.1:{port}/" in server.stdout.find(r"https://127\.0\.0\.1:\d+/\S*")[0]
    status, response, _ = await get(port, trusting, "/v1/chat/completions", method="POST", body=b"{}")
    assert (status, f"https://127.0.0.1:{port}/api/v2/aibridge" in response.decode()) == (404, True)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP/1.1" not in await reader.read()
    writer.close()
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await get(port, trusting, "/healthz"))[2][1] == "TLSv1.2"
    trusting.set_ciphers("AES256-GCM-SHA384")  # without forward secrecy
    with pytest.raises(OSError, match=r"^$|handshake"):
        await get(port, trusting, "/healthz")


@pytest.mark.gen_test(timeout=60)
async def test_a_certificate_that_changes_is_read_at_sighup(start, certificate, authority, trusting, tmp_path):
    server = start("--tls-cert-file", certificate)
    port = port_of(server)
    before = (await get(port, trusting, "/healthz"))[2][2]
    new_key = ("-newkey", "rsa:2048", "-nodes", "-days", 2)
    openssl(
        *("req", "-x509", *new_key, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "new.pem"),
        *("-CA", authority / "ca.pem", "-CAkey", authority / "ca.key", "-subj", "/CN=server"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
    )
    renewed = (tmp_path / "key.pem").read_text() + (tmp_path / "new.pem").read_text()
    (tmp_path / "server.pem").write_text(renewed)
    server.send(signal.SIGHUP)
    server.stderr.find("INFO aibridge: the certificate was reloaded$")
    after = (await get(port, trusting, "/healthz"))[2][2]
    assert after == ssl.PEM_cert_to_DER_cert((tmp_path / "new.pem").read_text()) != before
    other = (authority / "certificate.pem").read_text() + (tmp_path / "key.pem").read_text()
    for text, reason in (("nothing", ".*PEM lib.*"), (other, ".*KEY_VALUES_MISMATCH.*")):
        (tmp_path / "server.pem").write_text(text)
        server.send(signal.SIGHUP)
        said = f"ERROR aibridge: tls-cert-file or tls-key-file cannot be used: {reason}; the previous one stays$"
        await asyncio.to_thread(server.stderr.find, said)
        assert (await get(port, trusting, "/healthz"))[2][2] == after
