"""The line that tells on every view that a provider refuses a key of the bridge."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.dashboard.conftest import API, serving
from tests.dashboard.page import Page
from tests.polling import poll


class Provider(BaseHTTPRequestHandler):
    """Answers every call with the status that the test wants."""

    status = 401

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    class Scripted(Provider):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def list_models(site, token):
    request = Request(f"{site.url}{API}/openai/v1/models", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as response:
            return json.load(response)
    except HTTPError as error:
        error.close()
        return error.code


def test_a_refused_key_is_told_on_every_view_until_it_is_accepted(chromium, databases, run_apart, tmp_path, provider):
    url = f"http://127.0.0.1:{provider.server_port}/v1/"
    settings = {"CODER_AIBRIDGE_OPENAI_BASE_URL": url, "CODER_AIBRIDGE_OPENAI_KEY": "sk-proj-0123456789-wxyz"}
    with serving(databases, run_apart, tmp_path, **settings) as site:
        page = Page(chromium, site.url)
        page.forget()
        _, token = site.user()
        assert [list_models(site, token) for _ in range(2)] == [401, 401]
        page.open("overview", token)
        for view in ("overview", "interceptions", "connect"):
            page.go(view)
            said = page.find(".refused-key").text
            assert said.startswith("openai: key sk-p…wxyz refused (401) since ")
            assert said.endswith("; 2 calls. Setting: openai-key")
        provider.RequestHandlerClass.status = 200
        assert list_models(site, token) == {}
        poll(lambda: site.get(token, "providers/configured")[0]["keys"][0]["refused"] is None)
        page.open("overview", token)
        page.find("h1", "Overview")
        page.gone(".refused-key")
        assert page.complaints() == []
