"""Reports of OpenAI and Anthropic, read from stand-ins; OpenAI's own SDK reads them too."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.cases import for_each
from tests.upstream.reports.stand_in import ANTHROPIC_KEY, OPENAI_KEY, Entry
from upstream.reports import apis as pages_module
from upstream.reports.apis import ReportPages, headers_of, read_anthropic, read_openai
from upstream.reports.reported import NO_MODEL, Reported, ReportedTokens, ReportError

START = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = [date(2026, 9, 1) + timedelta(days=number) for number in range(40)]
ENTRIES = [
    Entry(DAYS[0], "m-1", 10, 5, 3, 2, "0.25"),
    Entry(DAYS[0], "m-1", 7, 1, 0, 0, "0.05", tier="batch"),
    Entry(DAYS[0], "m-2", 1, 1, 0, 0, "1.5"),
    Entry(DAYS[4], "m-1", 100, 50, 0, 0, "2"),
    Entry(DAYS[5], "searches", usd="0.1"),
    Entry(DAYS[35], "m-1", 9, 9, 0, 0, "0.9", tier="priority"),
]


@pytest.fixture
def openai(client, stand_in):
    """Reads OpenAI's reports of 40 days."""
    headers = [("Authorization", f"Bearer {OPENAI_KEY}")]

    def read(url=None, days=40):
        pages = ReportPages(client, url or stand_in.url, headers, "reconcile-openai-key")
        return read_openai(pages, START, START + timedelta(days=days))

    return read


@pytest.fixture
def anthropic(client, stand_in):
    """Reads Anthropic's reports of 40 days."""

    def read(days=40):
        pages = ReportPages(client, stand_in.url, headers_of(ANTHROPIC_KEY), "reconcile-anthropic-key")
        return read_anthropic(pages, START, START + timedelta(days=days))

    return read


def usage(lines):
    return [(one.day, one.model, one.tokens, one.tier) for one in lines if one.tokens is not None]


def costs(lines):
    return [(one.day, one.model, one.usd) for one in lines if one.usd is not None]


USAGE = [
    (DAYS[0], "m-1", ReportedTokens(10, 5, 3, 2), ""),
    (DAYS[0], "m-1", ReportedTokens(7, 1), "batch"),
    (DAYS[0], "m-2", ReportedTokens(1, 1), ""),
    (DAYS[4], "m-1", ReportedTokens(100, 50), ""),
    (DAYS[35], "m-1", ReportedTokens(9, 9), "priority"),
]


@pytest.mark.parametrize("ending", ["", "v1", "v1/"])
async def test_openais_reports_are_read_to_the_last_page(stand_in, openai, ending):
    stand_in.entries = [*ENTRIES, Entry(DAYS[1], "embedder", 4, api="embeddings", usd="0.01")]
    lines = await openai(stand_in.url + ending)
    assert usage(lines) == [*USAGE, (DAYS[1], "embedder", ReportedTokens(4), "")]
    entries = sorted(stand_in.entries, key=lambda one: one.day)
    assert costs(lines) == [(one.day, one.model, Decimal(one.usd)) for one in entries]
    of_costs = [query for path, query in stand_in.requests if path == "/v1/organization/costs"]
    assert [query.get("page") for query in of_costs] == [None, *([f"page_{at}"] for at in range(2, 40, 2))]
    assert {query["bucket_width"][0] for _, query in stand_in.requests} == {"1d"}


async def test_anthropics_reports_are_read_a_month_at_a_time(stand_in, anthropic):
    stand_in.entries = ENTRIES
    lines = await anthropic()
    assert usage(lines) == USAGE
    assert costs(lines) == [(one.day, one.model, Decimal(one.usd)) for one in ENTRIES]
    spans = {(query["starting_at"][0], query["ending_at"][0]) for _, query in stand_in.requests}
    assert spans == {("2026-09-01T00:00:00Z", "2026-10-02T00:00:00Z"), ("2026-10-02T00:00:00Z", "2026-10-11T00:00:00Z")}


JSON = {"Content-Type": "application/json"}


@for_each(
    ("refusal", "said"),
    ((401, {}, b"no"), "401 to /{}: it does not know the key; give an admin key in reconcile-openai-key"),
    (
        (403, JSON, b"{}"),
        "403 to /{}: the key may not read reports; give one that may in reconcile-openai-key, an admin key",
    ),
    ((404, JSON, b"{}"), "404 to /{}: it has no such report; check the URL"),
    ((429, {"Retry-After": "17"}, b"{}"), "429 to /{}: too many requests; try again in 17 s"),
    ((429, {"Retry-After": "soon"}, b"{}"), "429 to /{}: too many requests; try again later"),
    ((500, {}, b"<html>"), "500 to /{}"),
    ((400, JSON, json.dumps({"error": {"message": f"start_time of {OPENAI_KEY}\n is wrong"}}).encode()), None),
    ids=lambda one: str(one[0]) if isinstance(one, tuple) else "",
)
async def test_a_refusal_is_said_with_what_helps_and_without_the_key(stand_in, openai, refusal, said):
    stand_in.refusal = refusal
    with pytest.raises(ReportError) as refused:
        await openai()
    path = "v1/organization/usage/completions"
    text = str(refused.value)
    assert OPENAI_KEY not in text
    if said is None:
        assert text.endswith(" is wrong")
    else:
        assert text == f"{stand_in.url[7:-1]} answers {said.format(path)}"


async def test_a_key_of_no_known_form_is_not_repeated_from_a_refusal(stand_in, client):
    stand_in.refusal = (500, JSON, b'{"error": {"message": "no plain-words-of-mine here"}}')
    for name, value in ("Authorization", "Bearer plain-words-of-mine"), ("x-api-key", "plain-words-of-mine"):
        pages = ReportPages(client, stand_in.url, [(name, value)], "reconcile-openai-key")
        with pytest.raises(ReportError) as refused:
            await read_openai(pages, START, START + timedelta(days=1))
        assert str(refused.value).endswith(": no [scrubbed] here")


def page(**fields):
    return json.dumps({"data": [], "has_more": False} | fields).encode()


@for_each(
    ("body", "said"),
    (b"{}", "has not the form of a report"),
    (b"[", "has not the form of a report"),
    (page(data=[{"start_time": "x", "results": []}]), "has not the form of a report"),
    (page(has_more=True, next_page="a"), "the pages of v1/organization/usage/completions do not end"),
    (page(data=[{"start_time": 10**18, "results": [{}]}]), f"a report has a day that there is not: {10**18}"),
    ids=["no data", "cut", "types", "endless", "no day"],
)
async def test_what_is_no_report_is_said(stand_in, openai, body, said):
    stand_in.refusal = (200, JSON, body)
    with pytest.raises(ReportError, match=said):
        await openai()


async def test_what_is_not_in_dollars_is_not_compared(stand_in, openai, anthropic):
    euros = {"amount": {"value": 1, "currency": "eur"}, "line_item": None}
    stand_in.refusal = (200, JSON, page(data=[{"start_time": 0, "results": [euros]}]))
    with pytest.raises(ReportError, match="costs are reported in 'eur'; only US dollars are compared"):
        await openai()
    row = {"starting_at": "2026-09-01T00:00:00Z", "results": [{"amount": "1", "currency": "EUR"}]}
    stand_in.refusal = (200, JSON, page(data=[row]))
    with pytest.raises(ReportError, match="costs are reported in 'EUR'; only US dollars are compared"):
        await anthropic()


async def test_what_names_no_model_is_kept_as_such(stand_in, openai, anthropic):
    results = {"start_time": 0, "results": [{"amount": {"value": "0.5"}}]}
    stand_in.refusal = (200, JSON, page(data=[results]))
    lines = await openai(days=1)
    assert lines[-1] == Reported(date(1970, 1, 1), NO_MODEL, usd=Decimal("0.5"))
    stand_in.refusal = (200, JSON, page(data=[{"starting_at": "2026-09-01T00:00:00", "results": [{"amount": "50"}]}]))
    assert (await anthropic(days=1))[-1] == Reported(DAYS[0], NO_MODEL, usd=Decimal("0.5"))


async def test_a_page_that_is_too_large_or_never_comes_is_said(stand_in, openai, monkeypatch):
    stand_in.refusal = (200, JSON, page() + b" " * 200_000)
    monkeypatch.setattr(pages_module, "MAX_PAGE_BYTES", 100_000)
    with pytest.raises(ReportError, match="a page of v1/organization/usage/completions has more than 100000 bytes"):
        await openai()
    monkeypatch.setattr(pages_module, "PAGE_SECONDS", 0.0)
    with pytest.raises(ReportError, match="no whole answer within 0 s"):
        await openai()
    monkeypatch.undo()
    with pytest.raises(ReportError, match=r"^127\.0\.0\.1:9: no connection to the provider"):
        await openai("http://127.0.0.1:9/")
