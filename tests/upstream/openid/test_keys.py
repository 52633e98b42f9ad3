from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import OctKey

from tests.cases import for_each
from tests.upstream.openid.tokens import private_key, published
from upstream.openid.documents import ProviderUnavailableError
from upstream.openid.id_tokens import MAX_KEYS, read_keys

_NUMBER = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n
WEAK = urlsafe_b64encode(_NUMBER.to_bytes(128)).decode().rstrip("=")


def refusal(body):
    with pytest.raises(ProviderUnavailableError) as caught:
        read_keys(body)
    return str(caught.value)


def test_public_keys_that_sign_are_read():
    keys = read_keys(published(private_key(), private_key("EC"), private_key("OKP")))
    assert [(key.key_type, key.kid) for key in keys] == [("RSA", "rsa-0"), ("EC", "ec-0"), ("OKP", "okp-0")]


def test_private_parts_that_a_provider_shows_by_mistake_are_not_read():
    body = json.dumps({"keys": [private_key().as_dict(private=True)]}).encode()
    (key,) = read_keys(body)
    assert not key.is_private


@for_each(
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
    assert refusal(json.dumps({"keys": keys}).encode()) == "the provider has no key that can be used"
    good = private_key().as_dict(private=False)
    assert len(read_keys(json.dumps({"keys": [*keys, good]}).encode())) == 1


@for_each("body", [b"[]", b"{}", b'{"keys": {}}', b"5"])
def test_what_is_no_set_of_keys_is_refused(body):
    assert refusal(body) == 'the keys cannot be read: there is no list "keys"'


def test_of_too_many_keys_the_first_are_read():
    key = private_key().as_dict(private=False)
    assert len(read_keys(json.dumps({"keys": [key] * (MAX_KEYS + 50)}).encode())) == MAX_KEYS
