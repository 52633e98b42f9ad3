import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts.users import (
    MAX_NAME,
    MAX_USERNAME,
    IdentityError,
    Role,
    Token,
    User,
    checked_name,
    checked_username,
    is_same_name,
    milliseconds,
)
from tests.cases import for_each
from tests.storage.records import ADA, NOON


def test_what_each_role_sees():
    seen = {role.value: (role.sees_everyone, role.sees_everything, role.reads_texts) for role in Role}
    assert seen == {
        "owner": (True, True, True),
        "auditor": (True, True, True),
        "reader": (True, False, False),
        "member": (False, False, True),
    }


@for_each(
    "username",
    ["a", "Ada", "ada-lovelace-2", "0", "a" * MAX_USERNAME, "me-2", "Ada.L_2+x@example-1.com", "a--b", "-a", "a."],
)
def test_mail_addresses_and_the_like_are_usernames(username):
    assert checked_username(username) == username


@for_each(
    "username",
    [
        "",
        "-",
        "..",
        "@",
        "a b",
        "a/b",
        "\u00e4da",
        "\uff41da",
        "ada\n",
        "a" * (MAX_USERNAME + 1),
        "a:b",
        '"',
        "a%40b",
    ],
)
def test_other_usernames_are_refused(username):
    with pytest.raises(IdentityError) as caught:
        checked_username(username)
    assert str(caught.value) == (
        f'the username "{username}" is not allowed: it has 1 to 128 characters of A-Z a-z 0-9 . _ + - @, '
        "at least one a letter or digit"
    )


@for_each("username", ["me", "Me", "ME"])
def test_nobody_is_called_me(username):
    with pytest.raises(IdentityError) as caught:
        checked_username(username)
    assert str(caught.value) == f'the username "{username}" is not allowed: in a search it means the current user'


@pytest.mark.parametrize("spelled", [str, lambda id_: id_.hex])
def test_nobody_is_called_like_an_id(spelled):
    with pytest.raises(IdentityError, match=r" is not allowed: in a search it means the user with that id$"):
        checked_username(spelled(ADA.id))


def test_what_looks_like_a_token_is_no_username_and_is_not_repeated():
    with pytest.raises(IdentityError) as caught:
        checked_username("abcdefghij-0123456789abcdefghijkl")
    assert str(caught.value) == "the username is not allowed: it looks like a token or a key"


def test_names_are_the_same_whatever_their_case():
    assert is_same_name("Ada@Example.com", "aDA@eXAMPLE.COM")
    assert not is_same_name("ada", "ad\u00e4")


@given(st.text(max_size=MAX_USERNAME + 2))
def test_a_username_is_safe_wherever_it_is_shown(text):
    try:
        username = checked_username(text)
    except IdentityError:
        return
    assert re.fullmatch(r"[a-zA-Z0-9._+@-]{1,128}", username)


@for_each("name", ["", "Ada Lovelace", "\u00c4da", "a" * MAX_NAME])
def test_a_name_is_any_printable_text(name):
    assert checked_name("display name", name) == name


@for_each("name", ["a" * (MAX_NAME + 1), "a\nb", "\x1b[31m"])
def test_other_names_are_refused(name):
    with pytest.raises(
        IdentityError, match=r"^the display name is not allowed: it has up to 128 printable characters$"
    ):
        checked_name("display name", name)


def test_times_are_cut_to_milliseconds():
    assert milliseconds(NOON.replace(microsecond=123_999)) == NOON.replace(microsecond=123_000)


def test_a_document_that_has_more_is_read_all_the_same():
    document = {"_id": ADA.id, "username": "ada", "display_name": "Ada Lovelace", "role": "member", "created_at": NOON}
    assert User.of(document | {"later": 1}) == ADA


def test_a_token_document_is_read_without_its_secret():
    document = {
        "_id": "abcdefghij",
        "user_id": ADA.id,
        "name": "laptop",
        "secret_sha256": b"hidden",
        "created_at": NOON,
        "expires_at": None,
        "revoked_at": None,
    }
    assert "hidden" not in repr(Token.of(document))
