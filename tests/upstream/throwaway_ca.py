"""A certificate authority that lives as long as the tests, and a server's certificate by it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
"""A key that is made in no time."""


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Path:
    """A folder with `ca.pem`, and `server.pem`, which is for 127.0.0.1 alone."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("ca")
    new_key = ("-newkey", "rsa:2048", "-nodes", "-days", 2)  # a server's key that a cipher without forward secrecy has
    openssl(
        *("req", "-x509", *EC_KEY, "-days", 2, "-keyout", folder / "ca.key", "-out", folder / "ca.pem"),
        *("-subj", "/CN=tests"),
        # RFC 5280, section 4.2.1.3: from Python 3.13 on it is insisted on.
        *("-addext", "keyUsage=critical,keyCertSign"),
    )
    openssl(
        *("req", "-x509", *new_key, "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        *("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-subj", "/CN=server"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
    )
    (folder / "server.pem").write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return folder


@pytest.fixture
def server_tls(authority) -> ssl.SSLContext:
    """What a server at 127.0.0.1 shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    return context


@pytest.fixture
def trusted(authority, monkeypatch) -> None:
    """Let clients that are made from here on trust the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
