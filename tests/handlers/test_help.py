"""The documents, as pages of the server."""

import re

from handlers.help import PAGES, REFERENCE

NAMES = (*PAGES, REFERENCE)


async def fetch(running, path, **headers):
    response = await running.request("GET", path, headers)
    return response, bytes(response.body).decode()


async def test_every_link_of_every_document_leads_to_what_is_served(running):
    pages = {name: (await fetch(running, f"/help/{name}"))[1] for name in NAMES}
    assert {"readme", "operations", "security"} < set(pages)
    for name, text in pages.items():
        links = re.findall(r'<a href="([^"]*)"', text)
        assert {f"../help/{other}" for other in NAMES} <= set(links)
        for link in links:
            there, _, fragment = link.removeprefix("../help/").partition("#")
            if not re.match("https?:", link) and link != "../":
                assert not fragment or f'id="{fragment}"' in pages[there or name], (name, link)
        for link in re.findall(r'<link rel="[a-z]+" href="\.\.(/[^"]*)"', text):
            assert (await fetch(running, link))[0].status == 200, link


async def test_a_document_is_a_page_without_a_token_that_runs_nothing_and_is_kept(running):
    response, text = await fetch(running, "/help")
    assert (response.status, response.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert '<h1 id="ai-bridge">AI Bridge</h1>' in text
    assert '<a href="help/using" ' not in text
    assert '<a href="help/using">' in text
    assert not re.search("<script|<style| style=| on[a-z]+=|<img", text)
    assert "script-src 'self';" in response.header("Content-Security-Policy")
    again, _ = await fetch(running, "/help", **{"If-None-Match": response.header("Etag")})
    assert again.status == 304
    assert 'class="number"' in (await fetch(running, "/help/api"))[1]
    unknown, said = await fetch(running, "/help/nothing")
    assert (unknown.status, said) == (404, '{"message":"not found: GET /help/nothing"}')
