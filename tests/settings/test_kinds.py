from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import kinds
from settings.kinds import Address, RecordPolicy, choice, scrub_uri
from storage.accounts.users import Role
from tests.cases import for_each
from upstream.credentials.sigv4 import AwsKeys

UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def refuses(kind, text):
    with pytest.raises((ValueError, OverflowError)):
        kind.parse(text)


@for_each(
    ("kind", "text", "value"),
        (kinds.SWITCH, "true", True),
        (kinds.SWITCH, "On", True),
        (kinds.SWITCH, "false", False),
        (kinds.SWITCH, "OFF", False),
        (kinds.LIMIT, "999999999", 999_999_999),
        (kinds.POSITIVE, "1", 1),
        (kinds.WORKERS, "256", 256),
        (kinds.SIZE, "67108864", 67_108_864),
        (kinds.SIZE, "64MiB", 67_108_864),
        (kinds.SIZE, "1GiB", 1_073_741_824),
        (kinds.DURATION, "0", timedelta(0)),
        (kinds.DURATION, "500ms", timedelta(milliseconds=500)),
        (kinds.DURATION, "1h30m", timedelta(hours=1, minutes=30)),
        (kinds.DURATION, "3650d", timedelta(days=3650)),
        (kinds.POSITIVE_DURATION, "1ms", timedelta(milliseconds=1)),
        (kinds.ADDRESS, "localhost:0", Address("localhost", 0)),
        (kinds.ADDRESS, ":65535", Address("", 65535)),
        (kinds.ADDRESS, "[::1]:4001", Address("::1", 4001)),
        (kinds.ADDRESS, "[2001:DB8:0::1]:80", Address("2001:db8::1", 80)),
        (kinds.FOLDER, "my data", Path("my data")),
        (kinds.NETWORKS, "", ()),
        (kinds.NETWORKS, "10.0.0.0/8, fd00::/8,192.0.2.1", tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "192.0.2.1")))),
        (kinds.MONGODB_URI, "", ""),
        (kinds.MONGODB_URI, "mongodb://u:p@h:1/?tls=true", "mongodb://u:p@h:1/?tls=true"),
        (kinds.DATABASE_NAME, "administration", "administration"),
        (kinds.BASE_URL, "https://api.openai.com/v1", "https://api.openai.com/v1/"),
        (kinds.BASE_URL, "http://[::1]:8080/", "http://[::1]:8080/"),
        (kinds.PROVIDER_NAME, "azure-2-west", "azure-2-west"),
        (kinds.KEYS, "", ()),
        (kinds.AWS_ACCESS_KEY, "AKIDEXAMPLE00000:a/b+c=", AwsKeys("AKIDEXAMPLE00000", "a/b+c=")),
        (kinds.AWS_ACCESS_KEY, "ASIAEXAMPLE00000:a/b:t/o==", AwsKeys("ASIAEXAMPLE00000", "a/b", "t/o==")),
        (kinds.REGION, "us-gov-west-1", "us-gov-west-1"),
        (kinds.REGION, "", ""),
        (kinds.KEYS, "sk-one, sk-two", ("sk-one", "sk-two")),
        (choice(RecordPolicy), "strict", RecordPolicy.STRICT),
        (kinds.ISSUER, "", ""),
        (kinds.ISSUER, "https://id.example/realms/x", "https://id.example/realms/x"),
        (kinds.SCOPES, "openid  email", "openid email"),
        (kinds.CLAIM, "https://example.com/groups", "https://example.com/groups"),
        (kinds.OPTIONAL_CLAIM, "", ""),
        (kinds.ROLE_MAPPING, "", ()),
        (kinds.ROLE_MAPPING, "admins=owner, a=b=reader", (("admins", "owner"), ("a=b", "reader"))),
        (kinds.DOMAINS, "", ()),
        (kinds.DOMAINS, "Example.com, a-b.example", ("example.com", "a-b.example")),
        (kinds.DISPLAYED, "Beispiel & Söhne", "Beispiel & Söhne"),
        (kinds.HEADER, "", ""),
)  # fmt: skip
def test_a_text_is_read(kind, text, value):
    assert kind.parse(text) == value


REFUSED = [
    (kinds.SWITCH, "maybe"),
    (kinds.LIMIT, "-1", "1_000", "\N{ARABIC-INDIC DIGIT ONE}", "1000000000"),
    (kinds.POSITIVE, "0"),
    (kinds.WORKERS, "0", "257"),
    (kinds.SIZE, "0", "64MB"),
    (kinds.DURATION, "", "30", "30m1h", "3651d", "9" * 5000 + "s"),
    (kinds.POSITIVE_DURATION, "0"),
    (kinds.ADDRESS, "4001", "::1:4001", "[127.0.0.1]:4001", "host:65536", "a host:1"),
    (kinds.FOLDER, "", "a\0b"),
    (kinds.NETWORKS, "10.0.0.1/8", "10.0.0.0/8,"),
    (kinds.MONGODB_URI, "localhost:27017", "mongodb://", "mongodb://a b"),
    (kinds.DATABASE_NAME, "", "admin", "a.b", "a" * 64),
    (kinds.BASE_URL, "", "https:///path", "https://host/?query", "https://user:password@host/"),
    (kinds.PROVIDER_NAME, "", "Azure", "a--b", "a" * 65, *kinds.RESERVED_NAMES),
    (kinds.AWS_ACCESS_KEY, "AKIDEXAMPLE00000", "AKID:secret", "AKIDEXAMPLE00000:a:b:c"),
    (kinds.REGION, "us-east-1.example.com/", "-"),
    (kinds.PROFILE, "a\nb"),
    (kinds.KEYS, "a,,b", "a b", "a\r\nX-Evil: 1", "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel"),
    (choice(RecordPolicy), "STRICT", ""),
    (kinds.ISSUER, "http://id.example", "https://id.example/?tenant=x"),
    (kinds.SCOPES, "email profile", ""),
    (kinds.CLAIM, "", "a b"),
    (kinds.ROLE_MAPPING, "admins", "=owner", "admins=Owner", "admins=owner,"),
    (kinds.DOMAINS, "@example.com", "*.example.com"),
    (kinds.DISPLAYED, "x" * 65),
    (kinds.CLIENT_ID, "a b"),
    (kinds.SECRET, "a\tb"),
    (kinds.HEADER, "X_User", "X-User:", "Authorization", "x-forwarded-for", "X" * 65),
]


@for_each(("kind", "text"), *((kind, text) for kind, *texts in REFUSED for text in texts))
def test_a_text_is_refused(kind, text):
    refuses(kind, text)


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 10**6), min_size=1))
def test_a_duration_is_the_sum_of_its_parts(parts):
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    milliseconds = sum(number * UNITS[unit] for unit, number in parts.items())
    if milliseconds <= 3650 * UNITS["d"]:
        assert kinds.DURATION.parse(text) == timedelta(milliseconds=milliseconds)
    else:
        refuses(kinds.DURATION, text)


ALL_KINDS = [kind for kind in vars(kinds).values() if isinstance(kind, kinds.SettingKind)]


@given(st.sampled_from(ALL_KINDS), st.text())
def test_any_text_is_read_or_refused_and_never_breaks_the_parser(kind, text):
    try:
        kind.parse(text)
    except (ValueError, OverflowError):
        assert len(kind.echo(text).splitlines()) == 1


@pytest.mark.parametrize(
    ("uri", "scrubbed"),
    [
        ("mongodb://ada:secret@host/db", "mongodb://***@host/db"),
        ("mongodb+srv://ada:se@cret@host", "mongodb+srv://***@host"),
        ("https://ada@host/", "https://***@host/"),
        ("ada:secret@host", "***@host"),
        ("mongodb://ada:se\ncret@host", "mongodb://***@host"),
        ("mongodb://host/db", "mongodb://host/db"),
        ("", ""),
    ],
)
def test_user_and_password_of_a_uri_are_not_shown(uri, scrubbed):
    assert scrub_uri(uri) == scrubbed


@pytest.mark.parametrize(
    "kind", [kinds.MONGODB_URI, kinds.BASE_URL, kinds.ISSUER, kinds.KEYS, kinds.SECRET, kinds.AWS_ACCESS_KEY]
)
@given(secret=st.text("abcdef0123456789", min_size=8))
def test_no_secret_is_echoed(kind, secret):
    assert secret not in kind.echo(f"http://user:{secret}@host")


def test_the_roles_that_claims_may_give_are_those_there_are():
    assert tuple(role.value for role in Role) == kinds.ROLES
