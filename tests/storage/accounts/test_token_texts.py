import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts.token_texts import digest, is_secret, split_token


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
