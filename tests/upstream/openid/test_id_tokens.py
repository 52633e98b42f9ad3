import json
import math
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from tests.cases import for_each
from tests.upstream.openid.tokens import (
    CLAIMS,
    CLIENT,
    ISSUER,
    NONCE,
    NOW,
    by_hand,
    hmac_with,
    private_key,
    published,
    signed,
)
from upstream.openid.documents import ProviderUnavailableError, SignInRefusedError, UnknownKeyError
from upstream.openid.flows import LEEWAY_SECONDS
from upstream.openid.id_tokens import MAX_KEYS, Expected, read_keys, verify

EXPECTED = Expected(ISSUER, CLIENT, NONCE)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def keys():
    return read_keys(published(private_key(), private_key("EC"), private_key("OKP"), private_key(number=1)))


def refusal(token, keys, now=NOW):
    with pytest.raises(SignInRefusedError) as caught:
        verify(token, keys, EXPECTED, now)
    return str(caught.value)


@for_each(
    ("alg", "kind"),
    *((f"{family}{bits}", "RSA") for family in ("RS", "PS") for bits in (256, 384, 512)),
    ("ES256", "EC"),
)
def test_what_a_key_of_the_provider_signed_is_believed(keys, alg, kind):
    assert verify(signed(alg=alg, key=private_key(kind)), keys, EXPECTED, NOW) == CLAIMS


def test_a_token_that_names_no_key_is_tried_with_each(keys):
    key = private_key(number=1)
    token = signed(key=key, kid=None)
    assert verify(token, keys, EXPECTED, NOW) == CLAIMS


@for_each("alg", "none", "None", "NONE", "", "HS256", "HS512", "RS1", "ES256K", "dir", None, 5, ["RS256"])
def test_other_algorithms_are_not_accepted(keys, alg):
    assert "is signed with" in refusal(by_hand({"alg": alg, "kid": "rsa-0"}, CLAIMS), keys)


def test_a_public_key_is_no_shared_secret(keys):
    key = private_key()
    for secret in (key.as_pem(private=False), published(key), key.as_dict(private=False)["n"].encode()):
        assert refusal(hmac_with(secret, CLAIMS), keys) == "the ID token is signed with 'HS256', which is not accepted"


def test_a_signature_of_an_unknown_key_is_told_apart(keys):
    strange = private_key(number=9)
    for token in (signed(key=strange), signed(key=strange, kid="rsa-0"), signed(key=strange, kid=None)):
        with pytest.raises(UnknownKeyError):
            verify(token, keys, EXPECTED, NOW)


def test_a_key_is_used_for_its_own_algorithms_alone(keys):
    with pytest.raises(UnknownKeyError):
        verify(by_hand({"alg": "ES256", "kid": "rsa-0"}, CLAIMS, b"x" * 64), keys, EXPECTED, NOW)


@for_each("header", {"crit": ["x"], "x": 1}, {"b64": False, "crit": ["b64"]})
def test_extensions_that_are_not_known_are_refused(keys, header):
    assert "extension" in refusal(by_hand({"alg": "RS256", "kid": "rsa-0"} | header, CLAIMS), keys)


@for_each(
    ("change", "why"),
    ({"iss": "https://id.example/"}, "iss"),
    ({"iss": None}, "iss"),
    ({"aud": "another"}, "aud"),
    ({"aud": []}, "aud"),
    ({"aud": None}, "aud"),
    ({"aud": {"ai-bridge": 1}}, "aud"),
    ({"aud": [CLIENT, "another"]}, "azp"),
    ({"azp": "another"}, "azp"),
    ({"azp": ""}, "azp"),
    ({"nonce": "another"}, "nonce"),
    ({"nonce": None}, "nonce"),
    ({"nonce": [NONCE]}, "nonce"),
    ({"nonce": "é"}, "nonce"),
    ({"exp": NOW - LEEWAY_SECONDS}, "expired"),
    ({"exp": None}, "exp"),
    ({"iat": None}, "iat"),
    ({"iat": NOW + LEEWAY_SECONDS + 1}, "in the future"),
    ({"nbf": NOW + LEEWAY_SECONDS + 1}, "not yet valid"),
    ({"nbf": 10**400}, "not yet valid"),
    ({"exp": -(10**400)}, "expired"),
    ({"exp": True}, "exp"),
    ({"exp": "2030-01-01"}, "exp"),
    ({"sub": ""}, "sub"),
    ({"sub": None}, "sub"),
    ({"sub": 5}, "sub"),
    ({"sub": "x" * 256}, "sub"),
)
def test_claims_that_are_not_for_this_sign_in_are_refused(keys, change, why):
    assert why in refusal(signed(CLAIMS | change), keys)


@for_each(
    "change",
    {"aud": [CLIENT]},
    {"aud": [CLIENT, "another"], "azp": CLIENT},
    {"exp": NOW - LEEWAY_SECONDS + 1},
    {"exp": 10**15 + 0.5},
    {"iat": NOW + LEEWAY_SECONDS, "nbf": NOW},
)
def test_claims_that_are_for_it_are_believed(keys, change):
    assert verify(signed(CLAIMS | change), keys, EXPECTED, NOW) == CLAIMS | change


@for_each("claims", [], "x", None, 5)
def test_what_is_no_object_has_no_claims(keys, claims):
    assert refusal(signed(claims if claims is not None else False), keys) == "the ID token has no claims"


@for_each("token", "", "a.b", "a.b.c.d", "é.b.c", "e30.e30.", ".".join(["x" * 200_000] * 3), ".....")
def test_what_is_no_token_is_refused(keys, token):
    assert refusal(token, keys)


def test_a_payload_that_is_no_json_is_refused(keys):
    from joserfc import jws

    token = jws.serialize_compact({"alg": "RS256", "kid": "rsa-0"}, b"{", private_key())
    assert refusal(token, keys).startswith("the ID token is malformed")


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "jwk", "x5c"]), JSON), claims=JSON)
def test_no_unsigned_token_gets_through_whatever_is_in_it(keys, header, claims):
    with pytest.raises(SignInRefusedError):
        verify(by_hand(_finite(header), _finite(claims), b"x" * 256), keys, EXPECTED, NOW)


@given(name=st.sampled_from(["iss", "aud", "azp", "nonce", "exp", "iat", "nbf", "sub"]), value=JSON)
def test_whatever_a_claim_is_it_is_believed_or_refused(keys, name, value):
    claims = CLAIMS | {name: _finite(value)}
    try:
        assert verify(signed(claims), keys, EXPECTED, NOW)["nonce"] == NONCE
    except SignInRefusedError:
        assert claims != CLAIMS


def _finite(value):
    """Without what JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else 0.5
    if isinstance(value, dict):
        return {key.encode("utf-8", "replace").decode(): _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


_NUMBER = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n
WEAK = urlsafe_b64encode(_NUMBER.to_bytes(128)).decode().rstrip("=")


def refusal_of_keys(body):
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
)
def test_keys_that_cannot_be_used_are_left_out(keys):
    assert refusal_of_keys(json.dumps({"keys": keys}).encode()) == "the provider has no key that can be used"
    good = private_key().as_dict(private=False)
    assert len(read_keys(json.dumps({"keys": [*keys, good]}).encode())) == 1


@for_each("body", b"[]", b"{}", b'{"keys": {}}', b"5")
def test_what_is_no_set_of_keys_is_refused(body):
    assert refusal_of_keys(body) == 'the keys cannot be read: there is no list "keys"'


def test_of_too_many_keys_the_first_are_read():
    key = private_key().as_dict(private=False)
    assert len(read_keys(json.dumps({"keys": [key] * (MAX_KEYS + 50)}).encode())) == MAX_KEYS
