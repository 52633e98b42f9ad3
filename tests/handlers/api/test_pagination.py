from __future__ import annotations

from uuid import UUID

import pytest

from handlers.api.pagination import Page, parse_page, single_values
from handlers.problems import ValidationProblem
from tests.cases import for_each

ID = "6f0e3d2c-1b4a-4c59-8e7f-001122334455"
INVALID = "Query parameters have invalid values."


@for_each(
    ("values", "page"),
    [
        ({}, Page()),
        ({"limit": "", "offset": "", "after_id": ""}, Page()),
        ({"limit": "1"}, Page(limit=1)),
        ({"limit": "1000", "offset": "0"}, Page(limit=1000)),
        ({"limit": "007", "offset": "2147483647"}, Page(limit=7, offset=2147483647)),
        ({"after_id": ID}, Page(after_id=UUID(ID))),
    ],
)
def test_a_page_is_read(values, page):
    assert parse_page(values) == page


@for_each("limit", ["0", "1001", "-1", "1.5", "ten", "1e2", " 5", "٣", "9" * 5000])
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(ValidationProblem) as refused:
        parse_page({"limit": limit})
    assert (refused.value.message, refused.value.detail) == (
        "Invalid pagination limit value.",
        "Pagination limit must be in range (0, 1000]",
    )


@for_each("offset", ["-1", "x", "2147483648"])
def test_an_offset_out_of_range_is_refused(offset):
    with pytest.raises(ValidationProblem) as refused:
        parse_page({"offset": offset})
    assert (refused.value.message, refused.value.detail) == (
        "Invalid pagination offset value.",
        "Pagination offset must be in range [0, 2147483647]",
    )


def test_both_cursors_at_once_are_refused():
    with pytest.raises(ValidationProblem) as refused:
        parse_page({"after_id": ID, "offset": "1"})
    assert (refused.value.message, refused.value.detail) == (
        INVALID,
        "Cannot use both after_id and offset pagination in the same request.",
    )


def test_a_cursor_that_is_no_uuid_is_refused():
    with pytest.raises(ValidationProblem) as refused:
        parse_page({"after_id": "7"})
    assert (refused.value.message, refused.value.validations) == (INVALID, (("after_id", "must be a UUID"),))


def test_every_unusable_parameter_is_named():
    with pytest.raises(ValidationProblem) as refused:
        single_values({"x": [b"1"], "limit": [b"1", b"2"], "q": [b"\xff"]}, ("q", "limit"))
    assert (refused.value.message, refused.value.validations) == (
        INVALID,
        (
            ("x", "unknown query parameter; allowed are limit, q"),
            ("limit", "may be given only once"),
            ("q", "is not UTF-8 text"),
        ),
    )
