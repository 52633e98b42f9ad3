import pytest
from tornado.httputil import HTTPHeaders

from handlers.identity.credentials import (
    Credentials,
    hides_token,
    looks_like_provider_key,
    own_headers,
    read_credentials,
    read_protocol_key,
    read_query_key,
    secrets_of,
    upstream_protocols,
)
from tests.cases import for_each

OURS = "abcdefghij-0123456789abcdefghijkl"


@for_each(
    ("headers", "cookie", "token", "own_key"),
    ({}, None, None, None),
    ({"Authorization": "Bearer t"}, None, "t", None),
    ({"authorization": "bearer  t "}, None, "t", None),
    ({"Authorization": "Basic t"}, None, None, None),
    ({"X-Api-Key": "t"}, None, "t", None),
    ({"Api-Key": "t"}, None, "t", None),
    ({"X-Goog-Api-Key": "t"}, None, "t", None),
    ({"Authorization": "Bearer b", "X-Goog-Api-Key": "g"}, None, "b", None),
    ({"X-Coder-AI-Governance-Token": "g", "Api-Key": "own"}, None, "g", "own"),
    ({"Authorization": "Bearer b", "X-Api-Key": "k"}, None, "b", None),
    ({"Coder-Session-Token": "s", "Authorization": "Bearer b"}, "c", "s", None),
    ({"X-Coder-AI-Governance-Token": "g", "Coder-Session-Token": "s"}, "c", "g", None),
    ({"X-Coder-AI-Governance-Token": "g", "Authorization": "Bearer sk-own"}, None, "g", "sk-own"),
    ({"X-Coder-AI-Governance-Token": "g", "X-Api-Key": "sk-own"}, None, "g", "sk-own"),
    ({"X-Coder-AI-Governance-Token": "g", "Authorization": f"Bearer {OURS}"}, None, "g", None),
    ({"X-Coder-AI-Governance-Token": "g", "Authorization": f"Bearer {OURS}", "X-Api-Key": "sk"}, None, "g", "sk"),
    ({"X-Coder-AI-Governance-Token": " ", "Authorization": "Bearer b"}, None, "b", None),
)
def test_the_first_credential_in_order_is_the_token(headers, cookie, token, own_key):
    assert read_credentials(HTTPHeaders(headers), cookie) == Credentials(token, own_key)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer b", "X-Api-Key": "k"}])
def test_a_session_counts_before_what_a_browser_does_not_send(headers):
    assert read_credentials(HTTPHeaders(headers), "c") == Credentials(None, None, session="c")


def test_own_headers_pass_as_sent_but_never_a_token_of_ours():
    headers = HTTPHeaders({"Authorization": f"Bearer {OURS}", "X-Api-Key": "sk-own"})
    assert own_headers(headers) == [("X-Api-Key", "sk-own")]
    headers = HTTPHeaders({"Api-Key": "own", "X-Goog-Api-Key": OURS})
    assert own_headers(headers) == [("Api-Key", "own")]
    assert own_headers(HTTPHeaders({"Authorization": "Bearer  sk-own"})) == [("Authorization", "Bearer  sk-own")]


def test_credentials_never_show_themselves():
    assert repr(Credentials("secret", "sk-secret")) == "Credentials(token=True, own_key=True, session=False)"
    assert repr(Credentials(None, session="secret")) == "Credentials(token=False, own_key=False, session=True)"


def test_a_token_of_ours_does_not_pass_in_a_header_that_was_sent_twice():
    headers = HTTPHeaders({"X-Coder-AI-Governance-Token": "g"})
    for value in (f"Bearer {OURS}", "Bearer sk-own"):
        headers.add("Authorization", value)
    assert own_headers(headers) == []
    assert read_credentials(headers, None) == Credentials("g", None)


@for_each(
    ("target", "hides"),
    (f"key={OURS}", True),
    (f"a={OURS}&b", True),
    (OURS.replace("-", "%2D"), True),
    (OURS.replace("-", "%2d").replace("a", "%61"), True),
    (OURS.replace("-", "%252d"), True),
    (f"x{OURS}", False),
    (OURS[:-1], False),
    ("limit=100&order=asc", False),
    ("%" * 100, False),
)
def test_a_token_is_seen_in_an_address_however_it_is_encoded(target, hides):
    assert hides_token(target) is hides


def test_keys_of_vendors_are_told_from_tokens():
    keys = ["sk-ant-api03-x", "sk-proj-x", "sk_x", "AIzaSyx", "AQ.Ab8x", "ABSKx", "xai-x", "gsk_x", "hf_x"]
    assert [key for key in [*keys, OURS, "", "skip", "nonsense"] if looks_like_provider_key(key)] == keys


@for_each(
    ("query", "key"),
    ("", ""),
    ("alt=sse", ""),
    ("alt=sse&key=a%2Db&key=c", "a-b"),
    ("%6bey=+x+", "x"),
    ("keys=a&monkey=b", ""),
)
def test_the_first_key_of_a_query_is_read_decoded(query, key):
    assert read_query_key(query) == key


def test_a_key_in_the_query_comes_last_and_a_clients_own_goes_on_as_a_header():
    token = f"{'a' * 10}-{'b' * 22}"
    assert read_credentials({"X-Api-Key": "first"}, query_key=token).token == "first"
    credentials = read_credentials({}, query_key=token)
    assert (credentials.token, credentials.own_key, secrets_of(credentials)) == (token, None, ["b" * 22])
    own = read_credentials({"X-Coder-AI-Governance-Token": token}, query_key="AIza")
    assert (own.token, own.own_key) == (token, "AIza")
    assert own_headers({}, "AIza") == [("X-Goog-Api-Key", "AIza")]
    assert own_headers({}, token) == []
    assert own_headers({"Api-Key": "k"}, "AIza") == [("Api-Key", "k")]


def test_a_key_among_websocket_subprotocols_is_found_and_never_goes_upstream():
    offered = f"realtime,openai-insecure-api-key.{OURS} , openai-project.p,openai-beta.realtime-v1"
    headers = HTTPHeaders({"Sec-WebSocket-Protocol": offered})
    assert read_protocol_key(headers) == OURS
    assert read_protocol_key(HTTPHeaders({"Sec-WebSocket-Protocol": "realtime"})) == ""
    assert read_protocol_key(HTTPHeaders()) == ""
    assert upstream_protocols(offered, keeps_billing=False) == "realtime, openai-beta.realtime-v1"
    assert upstream_protocols(offered, keeps_billing=True) == "realtime, openai-project.p, openai-beta.realtime-v1"
    assert upstream_protocols(f"realtime, x.{OURS}", keeps_billing=True) == "realtime"
    assert upstream_protocols(f"openai-insecure-api-key.{OURS}", keeps_billing=True) == ""


def test_an_own_key_among_the_subprotocols_goes_as_a_header_where_there_is_no_other():
    assert own_headers(HTTPHeaders(), protocol_key="sk-own") == [("Authorization", "Bearer sk-own")]
    assert own_headers(HTTPHeaders(), protocol_key=OURS) == []
    assert own_headers(HTTPHeaders({"X-Api-Key": "sk"}), protocol_key="sk-own") == [("X-Api-Key", "sk")]
