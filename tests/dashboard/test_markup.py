"""Text that looks like markup, in the views that have no test of their own for it."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from storage.accounts.identities import Role
from tests.dashboard.conftest import API
from tests.dashboard.views.calls.test_interceptions_view import MARKUP
from tests.polling import poll

TURNED = "demo\u202eup"  # writes what follows from right to left
# How far right of its first figure each last one is, beside a name that turns what follows it.
WIDTHS = """
    const place = (node, at) => {
        const range = document.createRange()
        range.setStart(node, at)
        range.setEnd(node, at + 1)
        return range.getBoundingClientRect().left
    }
    return [...document.querySelectorAll(".legend li")].filter(({textContent}) => textContent.includes("\u202e"))
        .map((one) => one.querySelector("b").firstChild).filter(({data}) => data.length > 1)
        .map((figure) => place(figure, figure.data.length - 1) - place(figure, 0))"""
RUN = "main script, iframe, main img, main svg:not([aria-hidden], .histogram), main [onerror], main [onload]"


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
        send(site, token, "demo/v1/messages", call, **said)
        send(site, token, "demo/v1/nowhere", {"model": markup}, **said)
        send(site, token, "users/me/session", {"token": token}, **{"User-Agent": markup})
    found = poll(
        lambda: len(sessions := site.get(token, "sessions", q=f"user:{name}")["results"]) >= len(MARKUP) and sessions
    )
    poll(lambda: site.get(token, "refusals", q=f"user:{name}")["count"])
    page.open("sessions?single=show", token)
    page.until(lambda: set(MARKUP) <= set(page.texts(".session .title")), "all sessions were to be listed")
    assert page.all(RUN) == []
    for address in (
        f"sessions/{found[0]['id']}",
        "refusals",
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


def test_no_two_groups_have_one_colour_and_a_name_that_turns_text_turns_no_figure(page, site):
    _, token = site.user()
    for number, model in enumerate((*(f"model-{number}" for number in range(8)), TURNED)):
        site.call(token, "x" * 100 * number, model=model)
    site.call(token, model="model-0")
    site.counted(token, 10)
    page.open("overview?by=model", token)
    page.find(".legend a", TURNED)
    script = "return [...document.querySelectorAll('.chart')].map((chart) => [...chart.querySelectorAll('.swatch')].map((one) => one.style.background))"
    for colours in page.browser.execute_script(script):
        assert len(colours) == len(set(colours)) >= 7
    assert page.texts(".chart:first-child .legend li")[-1] == "Other 2"
    assert min(page.browser.execute_script(WIDTHS)) > 0
