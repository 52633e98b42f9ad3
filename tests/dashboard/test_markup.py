"""Text that looks like markup, in the views that have no test of their own for it."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from storage.accounts.users import Role
from tests.dashboard.conftest import API
from tests.dashboard.views.calls.test_interceptions_view import MARKUP
from tests.polling import poll

RUN = "main script, iframe, main img, main svg:not([aria-hidden]), main [onerror], main [onload]"


def send(site, token, path, body, **headers):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | headers
    try:
        with urlopen(Request(f"{site.url}{API}/{path}", json.dumps(body).encode(), headers)) as response:
            response.read()
    except HTTPError as error:
        error.close()


def test_what_looks_like_markup_stays_text_in_every_other_view(page, site):
    name, token = site.user(role=Role.OWNER)
    for markup in MARKUP:
        said = {"User-Agent": markup, "X-Session-Id": markup}
        call = {"model": markup, "max_tokens": 9, "messages": [{"role": "user", "content": markup}]}
        for _ in range(2):
            send(site, token, "demo/v1/messages", call, **said)
        send(site, token, "demo/v1/nowhere", {"model": markup}, **said)
        send(site, token, "users/me/session", {"token": token}, **{"User-Agent": markup})
        send(site, token, "users/me/tokens", {"name": markup})
        site.send(token, "PATCH", f"users/{name}", name=markup)
    found = poll(
        lambda: len(sessions := site.get(token, "sessions", q=f"user:{name}")["results"]) >= len(MARKUP) and sessions
    )
    poll(lambda: site.get(token, "refusals", q=f"user:{name}")["count"])
    page.open("sessions", token)
    page.until(lambda: set(MARKUP) <= set(page.texts(".session .title")), "all sessions were to be listed")
    assert page.all(RUN) == []
    for address in (
        f"sessions/{found[0]['id']}",
        "refusals",
        "budgets",
        "limits",
        "tokens",
        f"users/{name}",
        "audit",
        "overview",
        "explore",
        "errors",
        "usage",
    ):
        page.go(address)
        page.find("main h1")
        page.gone(".loading")
        assert page.all(RUN) == [], address
