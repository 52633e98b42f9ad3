from storage.accounts.identities import Role


def test_what_was_changed_is_told_newest_first(page, site):
    boss, owner = site.user(role=Role.OWNER)
    name, _ = site.user()
    site.send(owner, "PATCH", f"users/{name}", role="auditor")
    token = site.send(owner, "POST", f"users/{name}/tokens", name="laptop")
    site.send(owner, "DELETE", f"users/{name}/tokens/{token['id']}")
    site.send(owner, "DELETE", f"users/{name}")
    page.open("audit", owner)
    page.find(".entry")
    assert page.texts(".entry .what")[:4] == [
        f"{boss} removed {name} and revoked 1 token",
        f"{boss} revoked {name}'s token “laptop” ({token['id']})",
        f"{boss} created {name}'s token “laptop” ({token['id']}), which never expires",
        f"{boss} changed {name}: from member to auditor",
    ]
    assert page.texts(".entry:first-child > :last-child") == [f"127.0.0.1 · token {owner[:10]}"]
    assert page.browser.title == "Audit trail · AI Bridge"


def test_scrolling_down_brings_the_trail_to_its_beginning(page, site):
    name, auditor = site.user(role=Role.OWNER)
    for number in range(110):
        site.send(auditor, "POST", "users/me/tokens", name=f"number {number}")
    page.open("audit", auditor)
    page.find(".entry")
    while not page.all(".end p.quiet"):
        page.browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    said = page.texts(".entry .what")
    assert "command line added demo as owner" in said
    created = [
        text.partition("“")[2].partition("”")[0] for text in said if text.startswith(f"{name} created their token")
    ]
    assert created == [f"number {number}" for number in reversed(range(110))]
