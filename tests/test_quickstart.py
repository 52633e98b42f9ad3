from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from quickstart import demo_token, welcome
from storage.identities import Identities, Role
from tests.bridge import now

TOKEN = "abcdefghij-0123456789abcdefghijkl"


@pytest.fixture
def identities(database):
    return Identities(database, now=now, monotonic=lambda: 0.0)


@pytest.mark.gen_test
async def test_the_first_start_makes_an_owner_and_keeps_its_token_for_this_account_only(identities, tmp_path):
    data_dir = tmp_path / "not made yet"
    token = await demo_token(identities, data_dir)
    user = (await identities.authenticate(token)).user
    assert (user.username, user.role) == ("demo", Role.OWNER)
    kept = data_dir / "demo-token"
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == (token + "\n", 0o600)


@pytest.mark.gen_test
async def test_every_further_start_has_the_same_token(identities, tmp_path):
    token = await demo_token(identities, tmp_path)
    assert await demo_token(identities, tmp_path) == token
    assert len(await identities.list_tokens("demo")) == 1


@pytest.mark.parametrize("kept", [b"", b"nonsense\n", TOKEN.encode(), b"\xff\xfe"])
@pytest.mark.gen_test
async def test_a_kept_token_that_lets_nobody_in_is_replaced(identities, tmp_path, kept):
    (tmp_path / "demo-token").write_bytes(kept)
    token = await demo_token(identities, tmp_path)
    assert (tmp_path / "demo-token").read_text() == token + "\n"
    assert (await identities.authenticate(token)).user.username == "demo"


@pytest.mark.gen_test
async def test_a_revoked_token_is_replaced_and_a_removed_user_comes_back(identities, tmp_path):
    first = await demo_token(identities, tmp_path)
    await identities.revoke_token(first[:10])
    second = await demo_token(identities, tmp_path)
    await identities.remove_user("demo")
    third = await demo_token(identities, tmp_path)
    assert len({first, second, third}) == 3
    assert (await identities.authenticate(third)).user.username == "demo"


def test_the_welcome_has_a_line_per_api_and_one_for_the_list():
    text = welcome("http://127.0.0.1:4001", TOKEN, Path("my data"))
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("curl ")]
    authorization = f"Authorization: Bearer {TOKEN}"
    bridge = "http://127.0.0.1:4001/api/v2/aibridge"
    *calls, listing = lines
    assert listing == ["curl", f"{bridge}/interceptions?limit=3", "-H", authorization]
    prompt = "Hello! What are you?"
    user = [{"role": "user", "content": prompt}]
    demo = {"model": "demo", "stream": True}
    for call, path, body in zip(
        calls,
        ("chat/completions", "responses", "messages"),
        (
            {"stream_options": {"include_usage": True}, "messages": user},
            {"input": prompt},
            {"max_tokens": 1024, "messages": user},
        ),
        strict=True,
    ):
        assert call[:-1] == [
            *("curl", "-N", f"{bridge}/demo/v1/{path}"),
            *("-H", authorization, "-H", "Content-Type: application/json", "-d"),
        ]
        assert json.loads(call[-1]) == demo | body
    assert f"kept in my data/demo-token:  {TOKEN}\n" in text
