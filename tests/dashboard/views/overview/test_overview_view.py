import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from storage.accounts.identities import Role
from tests.dashboard.page import WIDE

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

# Whatever is asked for begins with this line, and does not end.
SLOW = """
    const begin = (body) => body.enqueue(new TextEncoder().encode(arguments[0]))
    window.real = fetch
    window.fetch = async () => new Response(new ReadableStream({start: begin}), {headers: {"Content-Type": "application/x-ndjson"}})"""

CALLS, TOKENS, COST, FIRST_BYTE = range(4)
PLOT = ".chart .u-over"
FIGURES = ".tile dd:first-of-type"


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
    assert page.texts(".breakdown tbody td:nth-child(-n+2)") == ["demo", "2", "demo-error", "1"]
    assert page.texts(".reasons li") == ["upstream error1100 %The provider responded with an error."]

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


def test_filters_narrow_every_figure_and_every_way_to_calls(page, token):
    page.resize(WIDE)
    page.open("overview", token)
    page.find(".tiles")
    page.find("#q").send_keys("model:demo-error", Keys.ENTER)
    page.until(lambda: page.texts(FIGURES)[:3] == ["1", "100 %", "0"], "the figures were to be those of one call")
    assert page.address == "overview?q=model%3Ademo-error"
    page.shows(".breakdown tbody td:nth-child(-n+2)", ["demo-error", "1"])
    assert "Refused by the bridge" not in page.text()
    page.click(".tile a", "Calls")
    page.shows("a.row .model", ["demo-error"])
    page.browser.back()
    page.find("#q").send_keys("took:<1h", Keys.ENTER)  # read from the records
    page.until(lambda: len(page.all(".chip")) == 2, "two chips")
    page.until(lambda: page.texts(FIGURES)[:3] == ["1", "100 %", "0"], "the figures were to be those of one call")
    page.find("#q").send_keys("-nobody", Keys.ENTER)  # found by the words that are said
    page.until(lambda: len(page.all(".chip")) == 3, "three chips")
    page.until(lambda: page.texts(FIGURES)[:3] == ["1", "100 %", "0"], "the figures were to be those of one call")
    page.find("#q").send_keys("nobody", Keys.ENTER)
    page.find(".empty h2", "No calls in this time")
    page.browser.back()
    page.until(lambda: page.texts(FIGURES)[:3] == ["1", "100 %", "0"], "the figures were to be those of one call")
    page.browser.execute_script(SLOW, '{"progress": {"read": 1, "of": 2, "seconds_left": 9}}\n')
    page.choose("Time range", "Last 7 days")
    page.find(".reading", "50 %")
    page.gone(".tiles")  # which are of the day
    page.browser.execute_script("fetch = real")
    page.browser.back()
    page.find(".tiles")
    page.browser.execute_script("fetch = () => Promise.reject(new TypeError('It broke off'))")
    page.choose("Time range", "Last hour")
    page.find(".failure", "The server cannot be reached.")
    page.gone(".tiles")  # which would look like those of the hour


def test_figures_say_how_they_changed_and_a_chart_has_points_and_the_time_before(page, site, axe):
    _, token = site.user()
    site.calls(token, 3)
    site.counted(token, 3)
    site.repeat_all(token, timedelta(hours=30))
    page.resize(WIDE)
    page.open("overview", token)
    page.find(".tiles")
    changes = [text.splitlines()[0] for text in page.texts(".tile .change")]
    assert changes == ["±0 % against the time before"] * 4
    labels = [plot.get_attribute("aria-label") for plot in page.all(".plot")]
    assert labels[0] == "Calls: Completed 3, Failed 0, Time before 3"
    page.until(lambda: points(page, CALLS, "ink") > 8, "the line")
    # The 99th percentile is drawn over the others.
    for chart, name in enumerate(("series-1", "series-1", "series-1", "series-7")):
        page.until(lambda chart=chart, name=name: points(page, chart, name) > 8, "a point")
    assert page.axe(axe) == []
    page.click("button", "Compare")
    page.until(lambda: page.address == "overview?compare=no", "it was to be in the address")
    page.until(lambda: not page.all(".tile .change"), "nothing was to be compared")
    assert page.all(".plot")[0].get_attribute("aria-label") == "Calls: Completed 3, Failed 0"
    site.repeat_all(token, timedelta(hours=6))
    page.go("connect")
    page.go("overview")
    page.until(lambda: len(page.all("canvas")) == 4, "four charts were to be drawn")
    # Two points of a dozen, where a line over hours without calls would have more than a hundred.
    drawn = page.until(lambda: points(page, FIRST_BYTE, "series-7"), "two points were to be drawn")
    assert 10 < drawn < 60


def test_groups_bars_and_what_is_drawn_over_them_lead_to_their_calls(page, token):
    page.open("overview", token)
    page.click("[aria-label='Split by'] button", "Model")
    assert page.address == "overview?by=model"
    page.find(".legend a", "demo-error")
    assert page.texts(".chart:first-child .legend li") == ["demo 2", "demo-error 1"]
    page.click(".chart:first-child .legend a", "demo-error")
    page.shows("a.row .model", ["demo-error"])
    page.go("overview?range=1h")
    page.find(".tiles")
    times, counts = zip(*_bars(page), strict=True)
    bar = next(index for index, count in enumerate(counts) if count)
    page.point_at(PLOT, lambda width: ((bar + 0.5) / len(times) - 0.5) * width, click=True)
    page.until(lambda: page.address.startswith("interceptions?q=started_after"), "the bar was to lead somewhere")
    page.until(lambda: len(page.all("a.row")) == counts[bar], "its calls were to be listed")
    page.go("overview")
    over = page.find(".chart .u-over")
    page.click("button", "Compare")  # which draws nothing anew
    page.until(lambda: "compare=no" in page.address, "it was to be in the address")
    left = -over.size["width"] // 2
    drag = ActionChains(page.browser).move_to_element_with_offset(over, left + 40, 0).click_and_hold()
    drag.move_by_offset(120, 0).release().perform()
    page.until(lambda: "from=" in page.address and "to=" in page.address, "the range was to be in the address")
    assert "compare=no" in page.address
    assert page.find(".empty h2").text == "No calls in this time"
    page.browser.back()
    page.find(".tiles")


def test_calls_are_split_by_the_groups_of_their_user_and_by_token(page, site):
    member, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    site.send(owner, "POST", "groups", name=f"group-{member}")
    site.send(owner, "PUT", f"groups/group-{member}/members/{member}")
    site.calls(token, 2)
    site.counted(token, 2)
    page.open("overview?by=group", token)
    page.shows(".breakdown tbody td:first-child", [f"group-{member}"])
    page.click("[aria-label='Split by'] button", "Token")
    page.shows(".breakdown tbody td:first-child", [f"{member} · {token[:10]}"])
    page.click(".legend a", member)
    page.until(lambda: len(page.all("a.row")) == 2, "the calls of the token were to be listed")
    assert page.texts(".chip")[-1].startswith(f"token:{token[:10]}")
    page.browser.back()
    page.browser.back()
    page.click(".breakdown a", f"group-{member}")
    page.until(lambda: len(page.all("a.row")) == 2, "the calls of the group were to be listed")
    assert page.texts(".chip")[-1].startswith(f"group:group-{member}")


def test_a_bar_of_a_day_is_named_anywhere_on_it_and_leads_to_its_calls(page, token):
    page.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "America/Los_Angeles"})
    try:
        page.open("overview?range=30d", token)
        place = page.find(".legend").rect
        today = datetime.now(UTC).date()
        for days, part in ((0, 0.1), (0, 0.9), (7, 0.2), (7, 0.8)):
            at = (29 - days + part) / 30 - 0.5
            page.point_at(PLOT, lambda width, at=at: at * width)
            day = today - timedelta(days=days)
            page.shows(".chart:first-child .when", [f"{day.day} {day:%b}"])
            assert page.find(".legend").rect["y"] == place["y"]  # nothing jumps
        page.point_at(PLOT, lambda width: (28.5 / 30 - 0.5) * width, click=True)
        page.until(lambda: page.address.startswith("interceptions?q=started_after"), "the bar was to lead somewhere")
        yesterday = today - timedelta(days=1)  # without midnight of the next
        assert unquote_plus(page.address) == (
            f'interceptions?q=started_after:"{yesterday}T00:00:00.000Z" started_before:"{yesterday}T23:59:59.999Z"'
        )
    finally:
        page.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def _bars(page):
    """Start and number of calls of each minute of the last hour, as the page asked for them last."""
    script = """
        const {name} = performance.getEntriesByType("resource")
            .findLast(({name}) => name.includes("/stats?") && !name.includes("group_by"))
        return fetch(name).then((answer) => answer.json())"""
    response = page.browser.execute_script(script)
    start = response["from"]
    counted = {point["at"]: point["interceptions"] for point in response["points"]}
    script = (
        "return [...Array(60).keys()].map((minute) => new Date(Date.parse(arguments[0]) + minute * 60e3).toISOString())"
    )
    minutes = page.browser.execute_script(script, start)
    return [(minute, counted.get(minute, counted.get(minute.replace(".000", ""), 0))) for minute in minutes]


def test_without_calls_it_says_what_to_do_and_why_some_were_refused(page, site):
    _, token = site.user()
    page.open("overview", token)
    assert page.find(".empty h2").text == "No calls in this time"
    page.find(".empty a", "connect a client")
    page.go("overview?range=yesterday&tz=Asia/Kathmandu")
    page.find(".range-text", " 23:45 to ")  # that has a quarter of an hour more, and says so
    site.refused(token)
    page.go("overview")
    page.find(".empty h2", "No calls in this time")
    page.find(".reasons a", "Unknown route")


def test_an_owner_also_sees_users_and_everybodys_refusals(page, site):
    _, owner = site.user(role=Role.OWNER)
    busy, token = site.user()
    site.calls(token, 12)  # enough to be among the rows that are shown
    site.counted(token, 12)
    site.refused(token)
    page.open("overview?by=user", owner)
    page.find(".breakdown a", busy)
    page.click(".reasons a", "Unknown route")
    page.until(lambda: page.address.startswith("refusals?q=started_after"), "the reason was to lead to its calls")
    page.find(".refusal", busy)
