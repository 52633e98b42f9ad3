"""Views are loaded when they are needed, and before."""

LOADED = "return performance.getEntriesByType('resource').some((one) => one.name.endsWith(arguments[0]))"
BLOCKED = "Failed to load resource: net::ERR_BLOCKED_BY_CLIENT"


def test_a_view_is_loaded_early_or_again_and_one_that_is_none_is_told_so(page, site):
    _, token = site.user()
    soon = {"source": "const wait = setTimeout; window.setTimeout = (act, ms) => wait(act, ms === 3000 ? 100 : ms)"}
    added = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", soon)
    page.browser.execute_cdp_cmd("Network.enable", {})
    page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/views/sessions/sessions.js"]})
    try:
        page.open("sessions", token)
        assert "This view could not be loaded." in page.find(".failure").text
        page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        assert all(BLOCKED in line for line in page.complaints())
        page.find(".failure button", "Try again").click()
        page.find(".empty")
    finally:
        page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    module = "/js/views/webhooks/webhooks.js"  # of a view that nobody has opened in this page
    page.until(lambda: page.browser.execute_script(LOADED, module), "all views were waited for")
    for address in ("session", "session/x", "nothing"):
        page.go(address)
        assert page.find("main.view .empty h2").text == "There is no such view"
