"""Requests to the provider, with a stand-in that does what no certified one does."""

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cases import for_each
from tests.upstream.openid.stand_in import StandIn
from tests.upstream.openid.tokens import NOW, private_key, published, signed
from upstream.connections.network import DIRECT
from upstream.openid import provider
from upstream.openid.documents import OpenIDError, ProviderUnavailableError, SignInRefusedError, UnknownKeyError
from upstream.openid.profiles import NotAllowedError, Rules
from upstream.openid.provider import MAX_DOCUMENT_BYTES, OpenIDClient, OpenIDProvider

REDIRECT = "https://bridge/callback"


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stand_in(io_loop):
    stand_in = io_loop.run_sync(StandIn.start)
    yield stand_in
    io_loop.run_sync(stand_in.stop)


@pytest.fixture
def make(client, stand_in, clock):
    """Makes the provider of the stand-in."""

    def make(secret="s%:", **rules):
        known = OpenIDClient(stand_in.issuer, "ai-bridge", secret)
        return OpenIDProvider(
            known, Rules(**rules), client, network_of=lambda _: DIRECT, time=lambda: NOW, monotonic=clock
        )

    return make


async def sign_in(openid, stand_in, prepare=None):
    """Begin, let the stand-in prepare its response to the nonce, and come back."""
    flow, url = await openid.begin("", REDIRECT)
    stand_in.nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    (prepare or (lambda: stand_in.sign_in(NOW)))()
    return await openid.finish(flow, {"state": flow.state, "code": "the-code"}, REDIRECT)


async def refusal(openid, stand_in, prepare, error=SignInRefusedError):
    with pytest.raises(OpenIDError) as caught:
        await sign_in(openid, stand_in, prepare)
    assert type(caught.value) is error, caught.value
    return str(caught.value)


@pytest.mark.parametrize(
    ("secret", "sent"), [("s", {"client_id": "ai-bridge", "client_secret": "s"}), ("", {"client_id": "ai-bridge"})]
)
async def test_a_provider_that_wants_it_gets_the_secret_in_the_form(make, stand_in, secret, sent):
    stand_in.discovery["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await sign_in(make(secret), stand_in)
    (form,) = stand_in.forms
    assert {name: value for name, value in form.items() if name.startswith("client_")} == sent
    assert stand_in.authorization[stand_in.paths.index("/token")] == ""


def test_no_text_of_a_client_has_its_secret():
    assert "hush" not in repr(OpenIDClient("https://id.example", "ai-bridge", "hush"))


async def test_a_new_key_is_fetched_when_a_token_is_signed_with_it(make, stand_in):
    openid = make()
    await sign_in(openid, stand_in)
    new = private_key(number=7)

    def rotate():
        stand_in.responses["/keys"] = (200, published(new))
        stand_in.give(signed(stand_in.claims(NOW), key=new))

    assert (await sign_in(openid, stand_in, rotate)).subject == "s"
    assert stand_in.paths.count("/keys") == 2


async def test_keys_are_not_fetched_for_each_token_of_a_strange_key(make, stand_in, clock):
    openid = make()
    strange = private_key(number=8)
    for _ in range(5):
        await refusal(
            openid, stand_in, lambda: stand_in.give(signed(stand_in.claims(NOW), key=strange)), UnknownKeyError
        )
    assert stand_in.paths.count("/keys") == 2
    clock.now += provider.RENEWAL_SECONDS
    await refusal(openid, stand_in, lambda: stand_in.give(signed(stand_in.claims(NOW), key=strange)), UnknownKeyError)
    assert stand_in.paths.count("/keys") == 3


async def test_old_documents_are_used_for_a_day_while_there_are_no_new_ones(make, stand_in, clock):
    openid = make()
    await sign_in(openid, stand_in)
    stand_in.responses |= {"/keys": (500, b""), "/.well-known/openid-configuration": (500, b"")}
    clock.now = provider.STALE_SECONDS - 1
    assert (await sign_in(openid, stand_in)).subject == "s"
    clock.now = provider.STALE_SECONDS
    with pytest.raises(ProviderUnavailableError, match="the provider answers 500"):
        await openid.begin("", REDIRECT)


@for_each(
    ("response", "error", "why"),
    (
        (400, b'{"error": "invalid_grant", "error_description": "hush"}'),
        SignInRefusedError,
        "answers 400: invalid_grant",
    ),
    ((400, b'{"error": "a b"}'), SignInRefusedError, "answers 400: no reason"),
    ((500, b"<html>"), SignInRefusedError, "answers 500: no reason"),
    ((500, b"[]"), SignInRefusedError, "answers 500: no reason"),
    ((200, b"{}"), SignInRefusedError, "without an ID token"),
    ((200, b'{"id_token": 5}'), SignInRefusedError, "without an ID token"),
    ((200, b"x" * (MAX_DOCUMENT_BYTES + 1)), ProviderUnavailableError, "more than 262144 bytes"),
    ((200, b"[" * 100_000), SignInRefusedError, "without an ID token"),
)
async def test_an_answer_that_is_no_token_signs_nobody_in(make, stand_in, response, error, why):
    def prepare():
        stand_in.responses["/token"] = response

    assert why in await refusal(make(), stand_in, prepare, error)


async def test_a_provider_that_is_slow_is_given_up(make, stand_in, monkeypatch):
    monkeypatch.setattr(provider, "ANSWER_SECONDS", 0.05)
    released = asyncio.Event()

    async def wait():
        await released.wait()
        return 200, b"{}"

    stand_in.responses["/.well-known/openid-configuration"] = wait
    with pytest.raises(ProviderUnavailableError, match="did not answer within"):
        await make().begin("", REDIRECT)
    released.set()


def userinfo(stand_in, status=200, **claims):
    def prepare():
        stand_in.responses["/me"] = (status, json.dumps(claims).encode())
        claims_of_token = stand_in.claims(NOW)
        del claims_of_token["email"]
        stand_in.give(signed(claims_of_token), access_token="an-access-token")

    return prepare


async def test_claims_that_are_empty_in_the_token_hide_none_of_those_asked_for(make, stand_in):
    rules = {"group_claim": "groups", "role_claim": "realm_access.roles", "roles": (("admin", "owner"),)}
    empty = {"groups": None, "realm_access": {}, "email_verified": None}
    told = {"groups": ["research"], "realm_access": {"roles": ["admin"]}}

    def prepare(**claims):
        stand_in.responses["/me"] = (200, json.dumps({"sub": "s"} | claims).encode())
        stand_in.sign_in(NOW, **empty)

    found = await sign_in(make(**rules), stand_in, lambda: prepare(**told, email_verified=True))
    assert (found.subject, found.groups, found.role) == ("s", ("research",), "owner")
    with pytest.raises(NotAllowedError, match="oidc-assume-verified"):
        await sign_in(make(**rules), stand_in, lambda: prepare(**told))


@for_each(
    ("status", "claims", "why"),
    (200, {"sub": "another", "email": "x@example.com"}, "of somebody else"),
    (200, {"email": "x@example.com"}, "of somebody else"),
    (401, {"sub": "s"}, "answers 401, without claims"),
)
async def test_claims_of_somebody_else_are_refused(make, stand_in, status, claims, why):
    assert why in await refusal(make(), stand_in, userinfo(stand_in, status, **claims))


@for_each("body", b"eyJhbGciOiJub25lIn0.e30.", b"[]", b"\xff")
async def test_claims_that_are_no_json_object_are_refused(make, stand_in, body):
    prepare = userinfo(stand_in)

    def broken():
        prepare()
        stand_in.responses["/me"] = (200, body)

    assert "without claims in JSON" in await refusal(make(), stand_in, broken)


async def test_an_access_token_that_would_be_two_headers_is_not_sent(make, stand_in):
    prepare = userinfo(stand_in, sub="s")

    def split():
        prepare()
        stand_in.give(signed(stand_in.claims(NOW) | {"email": None}), access_token="x\r\nEvil: 1")

    openid = make(username_claim="preferred_username")
    assert await refusal(openid, stand_in, split) == "the access token cannot be used"
    assert "/me" not in stand_in.paths
