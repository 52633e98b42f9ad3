"""The certified OpenID provider of npm as a process on loopback, and a browser's way through its pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest

FOLDER = Path(__file__).parent
CLIENT_ID, CLIENT_SECRET = "ai-bridge", "a-secret-with-%-and-:-of-the-bridge"
CALLBACK = "/api/v2/aibridge/sign-in/oidc/callback"
ADA = {"email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace", "groups": ["research", "/staff"]}


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


class OpenIDProviderProcess:
    """The provider; `issuer` is its address."""

    def __init__(self, redirect_urls: list[str], accounts: Mapping[str, Any]) -> None:
        node = shutil.which("node")
        if node is None or not (FOLDER / "node_modules/oidc-provider").is_dir():
            pytest.skip("npm has not installed oidc-provider (make test does it)")
        homes = [url.removesuffix(CALLBACK) + "/" for url in redirect_urls]
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": redirect_urls}
        client |= {"post_logout_redirect_uris": homes}
        config = json.dumps({"clients": [client], "accounts": accounts})
        self._process = subprocess.Popen(
            [node, str(FOLDER / "provider.mjs"), config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.issuer = self._process.stdout.readline().strip()

    def know(self, **accounts: Any) -> None:
        """Change what it says of people."""
        build_opener().open(Request(f"{self.issuer}/accounts", json.dumps(accounts).encode(), method="POST")).close()

    def sign_in(self, url: str, login: str) -> str:
        """Go where the bridge sends a browser, sign in by a name, or leave with an empty one; the URL that leads back."""
        opener = build_opener(HTTPCookieProcessor(CookieJar()), _Stay())
        body = None
        for _ in range(10):
            try:
                with opener.open(url, body) as page:
                    form = re.search(r'action="([^"]+)"', page.read().decode())
                assert form is not None
                url, body = urljoin(url, form[1]), f"login={login}".encode()
            except HTTPError as error:
                error.close()
                if error.code not in {302, 303}:
                    raise
                url, body = urljoin(url, error.headers["Location"]), None
                if CALLBACK in url:
                    return url
        raise AssertionError("the provider leads in a circle")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def openid_provider() -> Iterator[OpenIDProviderProcess]:
    """A provider for tests whose bridge is called `bridge`; each has people of its own."""
    provider = OpenIDProviderProcess([f"{scheme}://bridge{CALLBACK}" for scheme in ("http", "https")], {"ada": ADA})
    yield provider
    provider.close()
