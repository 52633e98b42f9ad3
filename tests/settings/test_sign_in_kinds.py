"""The kinds of values that sign-in settings have."""

import pytest

from settings import sign_in_kinds as kinds
from storage.accounts.users import Role
from tests.cases import for_each


def test_the_roles_that_claims_may_give_are_those_there_are():
    assert tuple(role.value for role in Role) == kinds.ROLES


@for_each(
    ("kind", "text", "value"),
    [
        (kinds.ISSUER, "", ""),
        (kinds.ISSUER, "https://id.example/realms/x", "https://id.example/realms/x"),
        (kinds.ISSUER, "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (kinds.SCOPES, "openid  email", "openid email"),
        (kinds.CLAIM, "https://example.com/groups", "https://example.com/groups"),
        (kinds.OPTIONAL_CLAIM, "", ""),
        (kinds.ROLE_MAPPING, "", ()),
        (kinds.ROLE_MAPPING, "admins=owner, a=b=reader", (("admins", "owner"), ("a=b", "reader"))),
        (kinds.DOMAINS, "", ()),
        (kinds.DOMAINS, "Example.com, a-b.example", ("example.com", "a-b.example")),
        (kinds.DISPLAYED, "Beispiel & Söhne", "Beispiel & Söhne"),
        (kinds.SECRET, "a%:b", "a%:b"),
        (kinds.HEADER, "", ""),
        (kinds.HEADER, "X-Forwarded-User", "X-Forwarded-User"),
    ],
)
def test_what_is_allowed_is_read(kind, text, value):
    assert kind.parse(text) == value


@for_each(
    ("kind", "text"),
    [
        (kinds.ISSUER, "http://id.example"),
        (kinds.ISSUER, "https://id.example/?tenant=x"),
        (kinds.ISSUER, "https://user@id.example"),
        (kinds.SCOPES, "email profile"),
        (kinds.SCOPES, ""),
        (kinds.CLAIM, ""),
        (kinds.CLAIM, "a b"),
        (kinds.ROLE_MAPPING, "admins"),
        (kinds.ROLE_MAPPING, "=owner"),
        (kinds.ROLE_MAPPING, "admins=Owner"),
        (kinds.ROLE_MAPPING, "admins=owner,"),
        (kinds.DOMAINS, "@example.com"),
        (kinds.DOMAINS, "example.com,"),
        (kinds.DOMAINS, "*.example.com"),
        (kinds.DISPLAYED, "x" * 65),
        (kinds.DISPLAYED, "a\nb"),
        (kinds.CLIENT_ID, "a b"),
        (kinds.SECRET, "a\tb"),
        (kinds.HEADER, "X_User"),
        (kinds.HEADER, "X-User:"),
        (kinds.HEADER, "Authorization"),
        (kinds.HEADER, "x-forwarded-for"),
        (kinds.HEADER, "X" * 65),
    ],
)
def test_what_is_not_allowed_is_refused(kind, text):
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        kind.parse(text)


def test_a_secret_is_not_repeated_in_an_error():
    assert kinds.SECRET.echo("hush hush") == "the value given"
    assert "hush" not in kinds.ISSUER.echo("https://user:hush@id.example")
