"""A certificate authority for one run, and a certificate by it for an upstream on the loopback address."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

DAYS = 2
NAMES = "DNS:localhost,IP:127.0.0.1"


class Certificates(NamedTuple):
    """Files in PEM format: what clients are to trust, and what the server shows, with its key."""

    authority: Path
    server: Path


def make_certificates(folder: Path) -> Certificates | None:
    """Make both in a folder; None where there is no `openssl`.

    Raises:
        subprocess.CalledProcessError: `openssl` failed.
    """
    if shutil.which("openssl") is None:
        return None
    authority, authority_key, key, certificate, server = (
        folder / f"{name}.pem" for name in ("authority", "authority-key", "key", "certificate", "server")
    )
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS)
    _openssl(
        *new, "-keyout", authority_key, "-out", authority, "-subj", "/CN=benchmarks",
        # RFC 5280, section 4.2.1.3: Python 3.13 and later insist on it.
        "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    _openssl(
        *new, "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-CA", authority, "-CAkey", authority_key,
        "-addext", f"subjectAltName={NAMES}", "-addext", "basicConstraints=critical,CA:FALSE",
    )  # fmt: skip
    server.write_text(key.read_text() + certificate.read_text())
    return Certificates(authority, server)


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
