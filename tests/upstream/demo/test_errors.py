import pytest

from tests.cases import for_each
from upstream.demo.errors import anthropic_error, openai_error


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (404, "invalid_request_error"), (413, "invalid_request_error")]
)
def test_openai_blames_the_request_for_what_the_client_did(status, kind):
    assert openai_error(status, "No.") == {"error": {"message": "No.", "type": kind, "param": None, "code": None}}


def test_openai_has_a_message_for_its_own_failure():
    message = "The demo provider fails for this model, as you asked."
    assert openai_error(500) == {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


@for_each(
    ("status", "kind"),
    [(400, "invalid_request_error"), (404, "not_found_error"), (413, "request_too_large"), (500, "api_error")],
)
def test_anthropic_names_the_kind_of_each_status(status, kind):
    assert anthropic_error(status, "No.", request_id="req_1") == {
        "type": "error",
        "error": {"type": kind, "message": "No."},
        "request_id": "req_1",
    }


def test_anthropic_is_overloaded_when_it_fails():
    assert anthropic_error(529, request_id="req_1")["error"] == {
        "type": "overloaded_error",
        "message": "Overloaded: the demo provider fails for this model, as you asked.",
    }
