"""The shipped nginx.conf in front of a real bridge: what it lets through, and what it bounds."""

import asyncio
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.handlers.conversations import MESSAGES
from tests.ports import free_ports
from tests.raw_client import RawClient
from tests.upstream.throwaway_ca import EC_KEY, openssl

BLOCK = Path(__file__).parents[2] / "deploy" / "nginx.conf"
MAIN = """pid {folder}/pid;
error_log {folder}/error.log;
daemon off;
master_process off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {block}
}}
"""

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    openssl("req", "-x509", *EC_KEY, "-subj", "/CN=aibridge.example.com", "-keyout", key, "-out", certificate)
    return key, certificate


@pytest.fixture
def nginx(running, serve, tls, tmp_path):
    """Connects to an nginx with the shipped server block, but for ports, names of files and how many are too many."""
    key, certificate = tls
    (port,) = free_ports(1)
    block = BLOCK.read_text()
    for shipped, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server 127.0.0.1:4001;", f"server 127.0.0.1:{running.port};"),
        ("/etc/ssl/aibridge.example.com.pem", str(certificate)),
        ("/etc/ssl/aibridge.example.com.key", str(key)),
        ("limit_conn aibridge_addresses 100;", "limit_conn aibridge_addresses 2;"),
    ):
        assert shipped in block
        block = block.replace(shipped, here)
    main = tmp_path / "nginx.conf"
    main.write_text(MAIN.format(folder=tmp_path, block=block))
    process = subprocess.Popen(("nginx", "-e", tmp_path / "error.log", "-c", main))
    trust = ssl.create_default_context(cafile=certificate)
    trust.check_hostname = False

    async def connect():
        while True:
            try:
                return RawClient(*await asyncio.open_connection("127.0.0.1", port, ssl=trust, limit=2**24))
            except ConnectionRefusedError:  # it is still starting
                assert process.poll() is None
                await asyncio.sleep(0)

    yield connect
    process.terminate()
    process.wait()


async def send(connect, path, headers=None, method="GET"):
    client = await connect()
    response = await client.request(method, path, headers or {})
    await client.closed()
    return response


async def test_what_asks_for_no_token_is_kept_inside_however_it_is_written(running, nginx):
    for path in ("/metrics", "/readyz", "/openapi.json"):
        inside = await (await running.client()).request("GET", path, {})
        assert inside.status == 200
        for spelling in (path, f"{path}?x", f"{path}/", f"/{path}", f"/x/..{path}", path.replace("e", "%65")):
            assert (await send(nginx, spelling)).status == 404, spelling
    assert (await send(nginx, "/healthz")).status == 200


async def test_a_stream_arrives_unchanged_and_is_counted_by_its_address(running, nginx):
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(MESSAGES.stream)
    running.upstream.play(head + MESSAGES.stream[:100], gate, MESSAGES.stream[100:])
    clients = [await nginx(), await nginx()]
    body = MESSAGES.request_body(stream=True)
    responses = []
    for client in clients:
        await client.send("POST", running.path(MESSAGES), running.headers, body)
        responses.append(await client.head())
    assert (await send(nginx, "/healthz")).status == 429
    gate.set()
    for client, response in zip(clients, responses, strict=True):
        await client.rest(response)
        await client.closed()
        assert bytes(response.body) == MESSAGES.stream
    assert (await send(nginx, "/healthz")).status == 200
    await running.ended(2)


async def test_heads_and_bodies_are_bounded(nginx):
    assert (await send(nginx, "/healthz", {"X": "x" * 20_000})).status == 400
    assert (await send(nginx, "/healthz", {f"X-{number}": "x" * 9_000 for number in range(9)})).status == 400
    client = await nginx()
    await client.send_raw(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (66 << 20))
    assert (await client.head()).status == 413
    await client.closed()


def test_every_bound_is_a_number_that_is_named():
    block = BLOCK.read_text()
    for name in ("client_max_body_size", "client_body_timeout", "client_header_timeout", "large_client_header_buffers"):
        assert re.search(rf"^    {name} [1-9]", block, re.MULTILINE)
