import hmac
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from storage.accounts.identities import Identity
from storage.accounts.tokens import text as tokens
from storage.accounts.tokens.text import Memory, VerifiedTokens, digest, has_ended, is_secret, new_token, split_token
from tests.cases import for_each
from tests.storage.records import ADA, NOON

IDENTITY = Identity(user=ADA, token_id="abcdefghij")
SECOND = timedelta(seconds=1)


def test_a_new_token_is_ten_characters_a_hyphen_and_twenty_two():
    token = new_token()
    assert split_token(token) == (token[:10], token[11:])
    assert (len(token), token[10]) == (33, "-")


def test_no_two_tokens_are_the_same():
    assert len({new_token() for _ in range(1000)}) == 1000


@for_each(
    "text",
    [
        "",
        "a" * 33,
        f"{'a' * 10}-{'b' * 21}",
        f"{'a' * 10}-{'b' * 23}",
        f"{'a' * 9}-{'b' * 22}",
        f"{'a' * 10}-{'b' * 22}\n",
        f" {'a' * 10}-{'b' * 22}",
        f"{'a' * 10}-{'b' * 21}\u0661",
        f"{'a' * 10}_{'b' * 22}",
    ],
)
def test_what_does_not_look_like_a_token_is_none(text):
    assert split_token(text) is None


@given(st.text())
def test_any_text_is_a_token_or_none(text):
    parts = split_token(text)
    assert parts is None or "-".join(parts) == text


def test_a_secret_is_known_by_its_digest():
    assert is_secret("secret", digest("secret"))
    assert not is_secret("secret", digest("Secret"))


def test_nothing_is_the_secret_of_an_unknown_token():
    assert not is_secret("secret", None)


@pytest.mark.parametrize("known", [digest("secret"), digest("other"), None])
def test_a_secret_is_compared_whole_and_in_constant_time_whatever_is_known(monkeypatch, known):
    compared, in_constant_time = [], hmac.compare_digest

    def compare(one, other):
        compared.append((len(one), len(other)))
        return in_constant_time(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    is_secret("secret", known)
    assert compared == [(32, 32)]


def test_a_moment_is_over_when_it_comes():
    assert [has_ended(at, NOON) for at in (None, NOON + SECOND, NOON, NOON - SECOND)] == [False, False, True, True]


def recall(memory, *, now=NOON, at=100.0, within=5.0):
    found = memory.get(b"t", now=now, at=at, within=within)
    return found and found.identity


def test_a_verified_token_is_remembered_for_as_long_as_is_asked():
    memory = VerifiedTokens()
    assert recall(memory) is None
    memory.add(b"t", IDENTITY, at=96.0)
    assert memory.get(b"t", now=NOON, at=100.0, within=5.0) == Memory(IDENTITY, 96.0)
    assert recall(memory, at=101.0) is None
    assert recall(memory, at=101.0, within=60.0) == IDENTITY


def test_a_remembered_token_expires_all_the_same():
    memory = VerifiedTokens()
    expiring = replace(IDENTITY, expires_at=NOON + SECOND)
    memory.add(b"t", expiring, at=100.0)
    assert recall(memory) == expiring
    assert recall(memory, now=NOON + SECOND) is None


def test_what_is_forgotten_is_not_remembered():
    memory = VerifiedTokens()
    memory.add(b"t", IDENTITY, at=100.0)
    memory.forget(b"t")
    memory.forget(b"t")
    assert recall(memory) is None
    memory.add(b"t", IDENTITY, at=100.0)
    other = uuid4()
    memory.forget_of(lambda user: user.id == other)
    assert recall(memory) == IDENTITY
    memory.forget_of(lambda user: user.id == IDENTITY.user.id)
    assert recall(memory) is None


def test_the_least_recently_used_token_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(tokens, "REMEMBERED_TOKENS", 2)
    memory = VerifiedTokens()
    for token in (b"t", b"u"):
        memory.add(token, IDENTITY, at=100.0)
    recall(memory)
    memory.add(b"v", IDENTITY, at=100.0)
    found = [memory.get(token, now=NOON, at=100.0, within=5.0) for token in (b"t", b"u", b"v")]
    assert found == [Memory(IDENTITY, 100.0), None, Memory(IDENTITY, 100.0)]
