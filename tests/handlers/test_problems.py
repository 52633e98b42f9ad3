from __future__ import annotations

import json

from handlers.problems import Problem, problem_body, problem_event
from intercept.apis import Dialect
from intercept.refusals import Rule
from tests.cases import for_each

M = "You've been rate limited. Please try again later."


def test_an_anthropic_error_has_the_shape_its_clients_read():
    assert json.loads(problem_body(Dialect.ANTHROPIC, 429, M, "r1")) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": M},
        "message": M,
        "request_id": "r1",
    }


def test_an_openai_error_has_the_shape_its_clients_read():
    assert json.loads(problem_body(Dialect.OPENAI, 429, M, "r1")) == {
        "error": {"message": M, "type": "rate_limit_exceeded", "param": None, "code": "rate_limit_exceeded"},
        "message": M,
    }


@for_each(
    ("status", "anthropic", "openai"),
    [
        (400, "invalid_request_error", ("invalid_request_error", None)),
        (401, "authentication_error", ("invalid_request_error", "invalid_api_key")),
        (403, "permission_error", ("invalid_request_error", "permission_denied")),
        (404, "not_found_error", ("invalid_request_error", "not_found")),
        (413, "request_too_large", ("invalid_request_error", "request_too_large")),
        (500, "api_error", ("server_error", None)),
        (502, "api_error", ("server_error", "upstream_unreachable")),
        (503, "overloaded_error", ("server_error", "service_unavailable")),
        (504, "timeout_error", ("server_error", "upstream_timeout")),
        (418, "api_error", ("server_error", None)),
    ],
)
def test_each_status_has_its_word_in_both_dialects(status, anthropic, openai):
    assert json.loads(problem_body(Dialect.ANTHROPIC, status, "m", "r"))["error"]["type"] == anthropic
    error = json.loads(problem_body(Dialect.OPENAI, status, "m", "r"))["error"]
    assert (error["type"], error["code"]) == openai


def test_a_stream_is_told_by_an_event():
    assert problem_event(Dialect.ANTHROPIC, 504, "m", "r") == (
        b'event: error\ndata: {"type":"error","error":{"type":"timeout_error","message":"m"},'
        b'"message":"m","request_id":"r"}\n\n'
    )


def test_a_problem_keeps_its_rule_when_it_is_scrubbed():
    problem = Problem(404, "m", {"A": "b"}, rule=Rule.UNKNOWN_ROUTE).scrubbed()
    assert (problem.status, problem.message, problem.headers, problem.rule) == (404, "m", {"A": "b"}, "unknown_route")


def test_google_words_an_error_by_its_status_and_says_when_to_come_back():
    assert json.loads(problem_body(Dialect.GEMINI, 429, M, "r1", 1500)) == {
        "error": {
            "code": 429,
            "message": M,
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"}],
        },
        "message": M,
    }
    unknown = json.loads(problem_body(Dialect.GEMINI, 500, M, "r1"))["error"]
    assert unknown == {"code": 500, "message": M, "status": "INTERNAL", "details": []}
    assert problem_event(Dialect.GEMINI, 504, M, "r").startswith(b'data: {"error":{"code":504,')


def test_amazon_words_an_error_by_a_type_and_a_message():
    expected = {"__type": "AccessDeniedException", "message": M}
    assert json.loads(problem_body(Dialect.BEDROCK, 403, M, "r1")) == expected
