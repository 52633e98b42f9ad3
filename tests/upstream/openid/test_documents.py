from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from tests.upstream.openid.tokens import ISSUER, private_key, published
from upstream.openid.documents import MAX_KEYS, is_usable_url, read_keys, read_metadata
from upstream.openid.errors import ProviderUnavailableError

_NUMBER = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n
WEAK = urlsafe_b64encode(_NUMBER.to_bytes(128)).decode().rstrip("=")
DISCOVERED = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def refusal(read, *arguments):
    with pytest.raises(ProviderUnavailableError) as caught:
        read(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://id.example/realms/x", True),
        ("https://id.example:8443", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost/x", True),
        ("http://id.example", False),
        ("http://localhost.evil.example", False),
        ("http://10.0.0.1", False),
        ("https://user:password@id.example", False),
        ("https://id.example/#x", False),
        ("https://id.example:0", False),
        ("https://id.example:99999", False),
        ("https://[::1", False),
        ("https://", False),
        ("ftp://id.example", False),
        ("https://id example", False),
        ("https://idé.example", False),
        ("https://id.example/\r\n", False),
        ("", False),
    ],
)
def test_which_urls_are_asked(url, usable):
    assert is_usable_url(url) is usable


def test_a_discovery_document_says_where_a_provider_is():
    metadata = read_metadata(json.dumps(DISCOVERED | {"userinfo_endpoint": f"{ISSUER}/me", "x": 1}).encode(), ISSUER)
    assert (metadata.token_endpoint, metadata.userinfo_endpoint) == (f"{ISSUER}/token", f"{ISSUER}/me")
    assert metadata.authorization_response_iss_parameter_supported is False


@pytest.mark.parametrize(
    ("methods", "basic"),
    [
        (None, True),
        ([], True),
        (["client_secret_post"], False),
        (["client_secret_basic", "client_secret_post"], True),
        (["private_key_jwt"], True),
    ],
)
def test_how_the_secret_is_sent_follows_what_the_provider_takes(methods, basic):
    document = DISCOVERED | {"token_endpoint_auth_methods_supported": methods}
    assert read_metadata(json.dumps(document).encode(), ISSUER).takes_basic is basic


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"issuer": "https://evil.example"}, "is that of the issuer 'https://evil.example'"),
        ({"issuer": f"{ISSUER}/"}, "is that of the issuer"),
        ({"jwks_uri": "http://id.example/keys"}, "has a jwks_uri that is not used"),
        ({"token_endpoint": "file:///etc/passwd"}, "has a token_endpoint that is not used"),
        ({"userinfo_endpoint": ""}, "has a userinfo_endpoint that is not used"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "has a authorization_endpoint that is not used"),
        ({"token_endpoint": None}, "cannot be read"),
    ],
)
def test_a_document_that_leads_elsewhere_is_not_used(change, why):
    assert why in refusal(read_metadata, json.dumps(DISCOVERED | change).encode(), ISSUER)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_readers(body):
    refusal(read_metadata, body, ISSUER)
    refusal(read_keys, body)


def test_public_keys_that_sign_are_read():
    keys = read_keys(published(private_key(), private_key("EC"), private_key("OKP")))
    assert [(key.kty, key.curve, key.id) for key in keys] == [
        ("RSA", "", "rsa-0"),
        ("EC", "P-256", "ec-0"),
        ("OKP", "Ed25519", "okp-0"),
    ]


def test_private_parts_that_a_provider_shows_by_mistake_are_not_read():
    body = json.dumps({"keys": [private_key().as_dict(private=True)]}).encode()
    (key,) = read_keys(body)
    assert not key.key.is_private


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [OctKey.generate_key(256).as_dict(private=True)],
        [private_key().as_dict(private=False) | {"use": "enc"}],
        [private_key().as_dict(private=False) | {"n": "!"}],
        [private_key().as_dict(private=False) | {"n": "é"}],
        [private_key().as_dict(private=False) | {"n": 5}],
        [private_key().as_dict(private=False) | {"e": "AQABAQABAQAB"}],
        [private_key("EC").as_dict(private=False) | {"crv": "secp256k1"}],
        [private_key("EC").as_dict(private=False) | {"x": "AAAA"}],
        [private_key("OKP").as_dict(private=False) | {"crv": "X25519"}],
        [{"kty": "RSA", "e": "AQAB", "n": WEAK}],
        [{"kty": "RSA", "e": "AQAB", "n": "_" * 20_000}],
        ["x", None, 5, {}, {"kty": "RSA"}, {"kty": ["RSA"]}],
    ],
)
def test_keys_that_cannot_be_used_are_left_out(keys):
    assert refusal(read_keys, json.dumps({"keys": keys}).encode()) == "the provider has no key that can be used"
    good = private_key().as_dict(private=False)
    assert len(read_keys(json.dumps({"keys": [*keys, good]}).encode())) == 1


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"keys": {}}', b"5"])
def test_what_is_no_set_of_keys_is_refused(body):
    assert refusal(read_keys, body) == 'the keys cannot be read: there is no list "keys"'


def test_of_too_many_keys_the_first_are_read():
    key = private_key().as_dict(private=False)
    assert len(read_keys(json.dumps({"keys": [key] * (MAX_KEYS + 50)}).encode())) == MAX_KEYS


JWK = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"])},
    optional={
        name: st.text("AQab_-=é", max_size=12) | st.integers() | st.none()
        for name in ("n", "e", "x", "y", "kid", "use")
    }
    | {"crv": st.sampled_from(["P-256", "P-521", "Ed25519"])},
)


@given(st.lists(JWK, max_size=4))
def test_no_keys_break_the_reader(keys):
    refusal(read_keys, json.dumps({"keys": keys}).encode())


@pytest.mark.parametrize(
    ("url", "kept"),
    [("https://id.example/logout", "https://id.example/logout"), ("http://id.example/", None), (None, None)],
)
def test_an_end_of_sessions_that_cannot_be_used_keeps_nobody_from_signing_in(url, kept):
    body = json.dumps(DISCOVERED | {"end_session_endpoint": url}).encode()
    assert read_metadata(body, ISSUER).end_session_endpoint == kept
