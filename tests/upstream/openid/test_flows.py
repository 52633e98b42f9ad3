from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.openid.documents import SignInRefusedError
from upstream.openid.flows import (
    FLOW_SECONDS,
    LEEWAY_SECONDS,
    MAX_FLOW,
    MAX_PARAMETER,
    CancelledError,
    Flow,
    FlowEndedError,
)

ISSUER, NOW = "https://id.example", 1_800_000_000.0
FLOW = Flow("the-state", "the-nonce", "the-verifier", "overview", int(NOW))
ANSWER = {"state": "the-state", "code": "the-code"}


def test_a_flow_is_read_as_it_was_written():
    flow = Flow.begin("interceptions?q=x", NOW)
    for now in (NOW + FLOW_SECONDS, NOW - LEEWAY_SECONDS):  # read by a server whose clock is behind
        assert Flow.read(flow.write(), now) == flow
    assert len({flow.state, flow.nonce, flow.verifier}) == 3
    assert len(Flow.begin("v" * 512, NOW).write()) < MAX_FLOW


@pytest.mark.parametrize("now", [NOW + FLOW_SECONDS + 1, NOW - LEEWAY_SECONDS - 1])
def test_a_flow_that_is_too_old_or_of_the_future_is_none(now):
    with pytest.raises(FlowEndedError):
        Flow.read(FLOW.write(), now)


@given(st.none() | st.text(max_size=40) | st.binary(max_size=40).map(lambda data: urlsafe_b64encode(data).decode()))
def test_nothing_else_is_a_flow(text):
    with pytest.raises(FlowEndedError):
        Flow.read(text, NOW)


@for_each(
    ("response", "error"),
    ({"code": "c"}, FlowEndedError),
    (ANSWER | {"state": "another"}, FlowEndedError),
    (ANSWER | {"state": "é"}, FlowEndedError),
    (ANSWER | {"iss": "https://evil.example"}, SignInRefusedError),
    (ANSWER | {"iss": ""}, SignInRefusedError),
    ({"state": "the-state"}, SignInRefusedError),
    (ANSWER | {"code": "c" * (MAX_PARAMETER + 1)}, SignInRefusedError),
    ({"state": "the-state", "error": "access_denied"}, CancelledError),
    ({"state": "the-state", "error": "server_error"}, SignInRefusedError),
    ({"state": "another", "error": "access_denied"}, FlowEndedError),
)
def test_other_answers_are_refused(response, error):
    with pytest.raises(error) as caught:
        FLOW.read_redirect(response, ISSUER, names_issuer=False)
    assert type(caught.value) is error


def test_a_provider_that_names_itself_does_so_in_each_answer():
    with pytest.raises(SignInRefusedError, match="another issuer"):
        FLOW.read_redirect(ANSWER, ISSUER, names_issuer=True)


def test_what_a_stranger_writes_as_an_error_is_not_repeated():
    with pytest.raises(SignInRefusedError) as caught:
        FLOW.read_redirect(ANSWER | {"error": "x\nsecret"}, ISSUER, names_issuer=False)
    assert str(caught.value) == "the provider says an error"
