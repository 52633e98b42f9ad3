import getpass
import shlex
import stat
from pathlib import Path

import pytest

from runtime.process import now
from runtime.quickstart import NO_DASHBOARD, NO_KEY, demo_token, first_steps, welcome
from settings import Settings, load
from storage.accounts.audit import Author
from storage.accounts.identities import Identities
from storage.accounts.users import Role

TOKEN = "abcdefghij-0123456789abcdefghijkl"


@pytest.fixture
def identities(database):
    return Identities(database, now=now, monotonic=lambda: 0.0)


async def test_the_first_start_makes_an_owner_and_keeps_its_token_for_this_account_only(identities, tmp_path):
    data_dir = tmp_path / "not made yet"
    token = await demo_token(identities, data_dir)
    user = (await identities.authenticate(token)).user
    assert (user.username, user.role) == ("demo", Role.OWNER)
    kept = data_dir / "demo-token"
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == (token + "\n", 0o600)


async def test_every_further_start_has_the_same_token(identities, tmp_path):
    token = await demo_token(identities, tmp_path)
    assert await demo_token(identities, tmp_path) == token
    assert len(await identities.list_tokens("demo")) == 1


@pytest.mark.parametrize("kept", [b"", b"nonsense\n", TOKEN.encode(), b"\xff\xfe"])
async def test_a_kept_token_that_lets_nobody_in_is_replaced(identities, tmp_path, kept):
    (tmp_path / "demo-token").write_bytes(kept)
    token = await demo_token(identities, tmp_path)
    assert (tmp_path / "demo-token").read_text() == token + "\n"
    assert (await identities.authenticate(token)).user.username == "demo"


async def test_a_revoked_token_is_replaced_and_a_removed_user_comes_back(identities, tmp_path):
    first = await demo_token(identities, tmp_path)
    await identities.revoke_token(first[:10])
    second = await demo_token(identities, tmp_path)
    await identities.remove_user("demo", author=Author(force=True))
    third = await demo_token(identities, tmp_path)
    assert len({first, second, third}) == 3
    assert (await identities.authenticate(third)).user.username == "demo"


def steps(usernames=(), *, dashboard=True, **environ):
    settings = load({}, {f"AIBRIDGE_{name.upper()}": value for name, value in environ.items()})
    return first_steps("http://127.0.0.1:4001", settings, usernames, dashboard=dashboard)


def commands(text):
    return [shlex.split(line) for line in text.splitlines() if line.startswith("    ")]


def test_where_there_are_users_only_a_token_is_missing():
    for usernames in ["ada", "grace"], ["demo", "ada", "grace"]:
        assert [line[2:5] for line in commands(steps(usernames))] == [["tokens", "create", "ada"]]
    assert [line[2:4] for line in commands(steps(["demo"]))] == [["users", "add"], ["tokens", "create"]]


def test_a_uri_with_a_password_is_not_shown_and_one_without_is():
    assert commands(steps(mongodb_uri="mongodb://db1/"))[0][-2:] == ["--mongodb-uri", "mongodb://db1/"]
    text = steps(mongodb_uri="mongodb://ada:s3cret@db1/")
    assert "Set AIBRIDGE_MONGODB_URI there as it is set here.\n" in text
    assert "s3cret" not in text


def test_no_page_is_promised_where_npm_has_not_installed_it():
    for text in (
        steps(dashboard=False),
        welcome("http://127.0.0.1:4001", TOKEN, Path("data"), code="CODE", dashboard=False),
    ):
        assert NO_DASHBOARD in text
        assert "http://127.0.0.1:4001/\n" not in text + "\n"


def test_without_any_key_it_says_which_variables_to_set():
    assert NO_KEY in steps()
    assert NO_KEY not in steps(openai_key="sk")
    assert NO_KEY not in first_steps("http://127.0.0.1:4001", Settings(), (), dashboard=True, managed=True)


@pytest.mark.parametrize(("own", "name"), [("ada", "ada"), ("not allowed", "admin"), ("me", "admin")])
def test_the_first_user_is_called_like_the_operator_where_that_is_allowed(monkeypatch, own, name):
    monkeypatch.setattr(getpass, "getuser", lambda: own)
    assert commands(steps())[0][4] == name
