"""Views are loaded when they are needed."""

BLOCKED = "Failed to load resource: net::ERR_BLOCKED_BY_CLIENT"


def test_a_view_is_loaded_again_and_one_that_is_none_is_told_so(page, site):
    _, token = site.user()
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
    for address in ("session", "session/x", "nothing"):
        page.go(address)
        assert page.find("main.view .empty h2").text == "There is no such view"
