import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts.users import (
    MAX_USERNAME,
    IdentityError,
    checked_username,
)
from tests.storage.records import ADA


@pytest.mark.parametrize("spelled", [str, lambda id_: id_.hex])
def test_nobody_is_called_like_an_id(spelled):
    with pytest.raises(IdentityError, match=r" is not allowed: in a search it means the user with that id$"):
        checked_username(spelled(ADA.id))


def test_what_looks_like_a_token_is_no_username_and_is_not_repeated():
    with pytest.raises(IdentityError) as caught:
        checked_username("abcdefghij-0123456789abcdefghijkl")
    assert str(caught.value) == "the username is not allowed: it looks like a token or a key"


@given(st.text(max_size=MAX_USERNAME + 2))
def test_a_username_is_safe_wherever_it_is_shown(text):
    try:
        username = checked_username(text)
    except IdentityError:
        return
    assert re.fullmatch(r"[a-zA-Z0-9._+@-]{1,128}", username)
