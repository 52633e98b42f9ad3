from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from storage.queries.filters.refusals import RefusalSearch, parse_refusal_search
from storage.queries.filters.words import InvalidSearchError, Validation
from tests.cases import for_each

ADA = UUID(int=1)


def test_every_key_narrows_the_list_in_any_case():
    search = parse_refusal_search(
        "ADA Api_Key_Id:abc PROVIDER:openai route:/v1/models model:gpt-5 rule:user_rate Status:429 "
        'started_after:"2026-01-01T00:00:00Z"'
    )
    assert search.filter(initiator_id=ADA) == {
        "initiator_id": ADA,
        "api_key_id": "abc",
        "provider": "openai",
        "route": "/v1/models",
        "model": "gpt-5",
        "rule": "user_rate",
        "status": 429,
        "at": {"$gte": datetime(2026, 1, 1, tzinfo=UTC)},
    }


def test_a_bare_id_is_that_of_a_request():
    assert parse_refusal_search(str(ADA)) == RefusalSearch(request_id=ADA)


@for_each(
    ("q", "conditions"),
    [
        ("", {}),
        ("shadow:true", {"shadow": True}),
        ("shadow:false", {"shadow": {"$ne": True}}),
        ('started_before:"2026-01-02T00:00:00Z"', {"at": {"$lte": datetime(2026, 1, 2, tzinfo=UTC)}}),
    ],
)
def test_what_is_not_asked_for_is_no_condition(q, conditions):
    assert parse_refusal_search(q).filter(initiator_id=None) == conditions


def test_what_is_no_switch_is_said_with_what_one_is():
    with pytest.raises(InvalidSearchError) as caught:
        parse_refusal_search("shadow:True status:42")
    assert list(caught.value.validations) == [
        Validation("shadow", 'Query param "shadow" has invalid value "True": it is true or false'),
        Validation("status", 'Query param "status" has invalid value "42": it is an HTTP status like 429'),
    ]


@for_each(
    ("q", "field"),
    [
        ("rule:nobody", "rule"),
        ("status:4299", "status"),
        ("status:fail", "status"),
        ("shadow:yes", "shadow"),
        ("client:x", "client"),
        ("model:a,b", "model"),
        ("-model:a", "model"),
    ],
)
def test_what_has_no_meaning_is_named(q, field):
    with pytest.raises(InvalidSearchError) as caught:
        parse_refusal_search(q)
    assert [validation.field for validation in caught.value.validations] == [field]


def test_an_initiator_that_was_not_found_is_no_filter():
    with pytest.raises(ValueError, match="nobody was found"):
        parse_refusal_search("ada").filter(initiator_id=None)
