import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts.identities import Identity
from storage.accounts.tokens import text as tokens
from storage.accounts.tokens.text import Memory, VerifiedTokens, digest, is_secret, split_token
from tests.storage.records import ADA, NOON

IDENTITY = Identity(user=ADA, token_id="abcdefghij")


@given(st.text())
def test_any_text_is_a_token_or_none(text):
    parts = split_token(text)
    assert parts is None or "-".join(parts) == text


@pytest.mark.parametrize("known", [digest("secret"), digest("other"), None])
def test_a_secret_is_compared_whole_and_in_constant_time_whatever_is_known(monkeypatch, known):
    compared, in_constant_time = [], hmac.compare_digest

    def compare(one, other):
        compared.append((len(one), len(other)))
        return in_constant_time(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    is_secret("secret", known)
    assert compared == [(32, 32)]


def recall(memory, *, now=NOON, at=100.0, within=5.0):
    found = memory.get(b"t", now=now, at=at, within=within)
    return found and found.identity


def test_the_least_recently_used_token_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(tokens, "REMEMBERED_TOKENS", 2)
    memory = VerifiedTokens()
    for token in (b"t", b"u"):
        memory.add(token, IDENTITY, at=100.0)
    recall(memory)
    memory.add(b"v", IDENTITY, at=100.0)
    found = [memory.get(token, now=NOON, at=100.0, within=5.0) for token in (b"t", b"u", b"v")]
    assert found == [Memory(IDENTITY, 100.0), None, Memory(IDENTITY, 100.0)]
