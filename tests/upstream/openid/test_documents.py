import json

import pytest

from tests.cases import for_each
from tests.upstream.openid.tokens import ISSUER
from upstream.openid.documents import ProviderUnavailableError, read_metadata

DISCOVERED = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def refusal(body, issuer):
    with pytest.raises(ProviderUnavailableError) as caught:
        read_metadata(body, issuer)
    return str(caught.value)


def test_a_discovery_document_says_where_a_provider_is():
    metadata = read_metadata(json.dumps(DISCOVERED | {"userinfo_endpoint": f"{ISSUER}/me", "x": 1}).encode(), ISSUER)
    assert (metadata.token_endpoint, metadata.userinfo_endpoint) == (f"{ISSUER}/token", f"{ISSUER}/me")
    assert metadata.authorization_response_iss_parameter_supported is False


@for_each(
    ("methods", "basic"),
    (None, True),
    ([], True),
    (["client_secret_post"], False),
    (["client_secret_basic", "client_secret_post"], True),
    (["private_key_jwt"], True),
)
def test_how_the_secret_is_sent_follows_what_the_provider_takes(methods, basic):
    document = DISCOVERED | {"token_endpoint_auth_methods_supported": methods}
    assert read_metadata(json.dumps(document).encode(), ISSUER).takes_basic is basic


@for_each(
    ("change", "why"),
    ({"issuer": "https://evil.example"}, "is that of the issuer 'https://evil.example'"),
    ({"issuer": f"{ISSUER}/"}, "is that of the issuer"),
    ({"jwks_uri": "http://id.example/keys"}, "has a jwks_uri that is not used"),
    ({"token_endpoint": "file:///etc/passwd"}, "has a token_endpoint that is not used"),
    ({"userinfo_endpoint": ""}, "has a userinfo_endpoint that is not used"),
    ({"authorization_endpoint": "javascript:alert(1)"}, "has a authorization_endpoint that is not used"),
    ({"token_endpoint": None}, "cannot be read"),
)
def test_a_document_that_leads_elsewhere_is_not_used(change, why):
    assert why in refusal(json.dumps(DISCOVERED | change).encode(), ISSUER)


@pytest.mark.parametrize(
    ("url", "kept"),
    [("https://id.example/logout", "https://id.example/logout"), ("http://id.example/", None), (None, None)],
)
def test_an_end_of_sessions_that_cannot_be_used_keeps_nobody_from_signing_in(url, kept):
    body = json.dumps(DISCOVERED | {"end_session_endpoint": url}).encode()
    assert read_metadata(body, ISSUER).end_session_endpoint == kept
