import re

import pytest

from storage.accounts.users import Role
from tests.polling import poll

# How many of a canvas' points are of a colour of the style sheets.
POINTS = """
    const [canvas, name] = arguments
    const probe = document.createElement("i")
    probe.style.color = `var(--${name})`
    document.body.append(probe)
    const [red, green, blue] = getComputedStyle(probe).color.match(/\\d+/g).map(Number)
    probe.remove()
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true})
    copy.drawImage(canvas, 0, 0)
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height)
    let points = 0
    for (let at = 0; at < data.length; at += 4) {
        points += data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255
    }
    return points"""

CALLS, TOKENS, COST, FIRST_BYTE = range(4)


def points(page, chart, colour):
    """How many points of a chart are of a colour, as it is drawn now."""
    return page.browser.execute_script(POINTS, page.all("canvas")[chart], colour)


@pytest.fixture(scope="module")
def token(site):
    """A member with three calls; one of them failed."""
    _, token = site.user()
    site.call(token, model="demo")
    site.call(token, model="demo")
    site.call(token, model="demo-error")
    site.counted(token, 3)
    return token


def test_the_figures_and_the_charts_are_those_of_ones_own_calls(page, site, token):
    _, another = site.user()
    site.call(another)
    site.counted(another, 1)
    site.refused(another)
    page.open("overview", token)
    page.find(".tiles")
    assert page.texts("[aria-label='Split by'] button") == ["All", "Model", "Provider", "Client", "Group", "Token"]
    assert "Unknown route" not in page.text()
    tiles = page.facts(within=".tile")
    assert (tiles["Calls"], tiles["Failed"]) == ("3", "33 %")
    recorded = site.get(token, "interceptions")["results"]
    assert "33 % of calls report no tokens" in page.texts(".tile dd:last-of-type")
    assert float(tiles["Cost"].removeprefix("$")) == pytest.approx(
        sum(one["cost"]["usd"] for one in recorded if one["cost"]), rel=0.05
    )
    counts = [
        count
        for one in recorded
        for usage in one["token_usages"]
        for name, count in usage.items()
        if name.endswith("_tokens")
    ]
    assert tiles["Tokens"] == str(sum(counts))
    assert re.fullmatch(r"[\d.]+ m?s", tiles["First byte, median"])
    assert page.texts(".groups tbody td:nth-child(-n+2)") == ["demo", "2", "demo-error", "1"]
    assert page.find(".reasons li").text.endswith("provider's error The provider responded with an error.")

    page.until(lambda: len(page.all("canvas")) == 4, "four charts were to be drawn")
    for chart, name in (
        (CALLS, "series-1"),
        (CALLS, "bad-mark"),
        (TOKENS, "series-1"),
        (TOKENS, "series-4"),
        (COST, "series-1"),
        (FIRST_BYTE, "quiet"),
    ):
        page.until(lambda chart=chart, name=name: points(page, chart, name) > 20, name)
    labels = [plot.get_attribute("aria-label") for plot in page.all(".plot")]
    assert labels[0] == "Calls: Completed 2, Failed 1"
    assert re.fullmatch(r"Cost: All \$0\.\d+", labels[2])


def test_an_error_that_is_new_is_told_on_top_and_leads_to_the_errors(page, site):
    _, owner = site.user(role=Role.OWNER)
    _, member = site.user()
    for _ in range(3):
        site.call(member, model="demo-error")
    site.counted(member, 3)
    poll(lambda: [one for one in site.get(owner, "errors", q="range:7d")["results"] if one["calls"] >= 3])
    page.open("overview", owner)
    page.click(".unusual a", "New error of demo: ")
    page.find("main.errors .error", "Overloaded")
