from datetime import timedelta
from uuid import uuid4

from storage.accounts.audit import COMMAND_LINE
from storage.accounts.identities import Role


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


def test_what_is_chosen_right_after_a_user_is_added_to_it(page, site):
    boss, owner = site.user(role=Role.OWNER)
    site.send(owner, "POST", "users/me/tokens", name="laptop")
    page.open("audit", owner)
    page.find(".entry .who", boss)
    script = """
        const [user, done] = arguments
        let changes = 0
        addEventListener("hashchange", () => { changes += 1 })
        const [kind] = [...document.querySelectorAll("main select")].filter(({ariaLabel}) => ariaLabel === "Everything")
        ;[...document.querySelectorAll(".entry .who")].find(({textContent}) => textContent === user).click()
        Promise.resolve().then(() => {
            kind.value = "token"
            const choose = () => kind.dispatchEvent(new Event("change", {bubbles: true}))
            choose()
            Promise.resolve().then(choose).then(() => done([location.hash, changes]))
        })"""
    # To choose the same again changes nothing.
    assert page.browser.execute_async_script(script, boss) == [f"#/audit?user={boss}&action=token", 2]


def test_scrolling_down_brings_the_trail_to_its_beginning(page, site):
    name, auditor = site.user(role=Role.OWNER)
    site.send(auditor, "POST", "users/me/tokens", name="number 0")

    async def repeat():
        database = site.connect()
        entry = await database.audit.find_one({"actor.username": name, "action": "token.created"})
        later = ((f"number {number}", entry["at"] + timedelta(milliseconds=number)) for number in range(1, 60))
        detail = entry["detail"]
        await database.audit.insert_many(
            {**entry, "_id": uuid4(), "at": at, "detail": detail | {"name": name}} for name, at in later
        )

    site.run(repeat())
    page.open("audit", auditor)
    page.find(".entry")
    page.scroll_to_end()
    said = page.texts(".entry .what")
    assert f"{COMMAND_LINE.name} added demo as owner" in said
    created = [
        text.partition("“")[2].partition("”")[0] for text in said if text.startswith(f"{name} created their token")
    ]
    assert created == [f"number {number}" for number in reversed(range(60))]
