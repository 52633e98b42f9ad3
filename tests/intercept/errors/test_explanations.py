from intercept.errors.explanations import ENDS, explain
from intercept.records import EndReason
from tests.cases import for_each


def test_every_end_of_a_failed_call_is_explained():
    assert set(ENDS) == set(EndReason) - {EndReason.COMPLETED}
    assert all(text.endswith(".") for text in ENDS.values())


@for_each(
    ("end_reason", "status", "begins"),
    [
        ("upstream_error", 429, "The provider refused the call: too many requests"),
        ("upstream_error", 418, "The provider refused the request. Its message says why."),
        ("upstream_error", 599, "The provider failed. Its message says why."),
        ("upstream_error", None, "The provider responded with an error."),
        ("upstream_timeout", 200, ENDS[EndReason.UPSTREAM_TIMEOUT]),
        ("of_a_later_version", None, ""),
    ],
)
def test_the_status_says_more_where_the_provider_responded_with_an_error(end_reason, status, begins):
    assert explain(end_reason, status).startswith(begins)
    assert bool(explain(end_reason, status)) == bool(begins)
