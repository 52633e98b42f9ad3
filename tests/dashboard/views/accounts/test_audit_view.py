from storage.accounts.audit import COMMAND_LINE
from storage.accounts.users import Role


def test_what_was_changed_is_told_newest_first_and_narrowed_by_range_kind_and_user(page, site):
    boss, owner = site.user(role=Role.OWNER)
    name, _ = site.user()
    site.send(owner, "PATCH", f"users/{name}", role="auditor")
    token = site.send(owner, "POST", f"users/{name}/tokens", name="laptop")
    site.send(owner, "DELETE", f"users/{name}/tokens/{token['id']}")
    site.send(owner, "DELETE", f"users/{name}")
    page.open("audit", owner)
    page.find(".entry")
    result = page.pairs(".entry", ".what", ":scope > :last-child")
    # When the page's own sign-in is written, is not for this test to say.
    changes = [what for what in result if name in what][:4]
    assert changes == [
        f"{boss} removed {name} and revoked 1 token",
        f"{boss} revoked {name}'s token “laptop” ({token['id']})",
        f"{boss} created {name}'s token “laptop” ({token['id']}), which never expires",
        f"{boss} changed {name}: from member to auditor",
    ]
    assert result[changes[0]] == f"127.0.0.1 · token {owner[:10]}"
    assert page.browser.title == "Audit trail · AI Bridge"
    page.click(".entry .who", boss)
    page.choose("Everything", "Tokens")
    own = f"{COMMAND_LINE.name} created {boss}'s token ({owner[:10]}), which never expires"
    page.until(
        lambda: page.texts(".entry .what") == [*changes[1:3], own], "what was done of tokens by and of the owner"
    )
    assert page.address == f"audit?user={boss}&action=token"
    page.choose("Time range", "Yesterday")
    page.find(".empty h2", "Nothing matches")
    page.click(".chip button")
    page.until(lambda: boss not in page.address, "the user was to go")
