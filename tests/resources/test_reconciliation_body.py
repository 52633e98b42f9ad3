"""The request body of a comparison with reports."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from resources.bodies import InvalidBodyError
from resources.money.prices import NOT_A_TIME
from resources.money.reconciliation_body import READ_FROM_FILES, ReconciliationBody

DAY, NOW = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 3, 7, tzinfo=UTC)
OPENAI = {"provider": "openai"}
NAMES = "must be a list of at most 100 names"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("provider", "is required")]),
        ({"provider": "azure"}, [("provider", READ_FROM_FILES.format("azure"))]),
        (
            {"provider": 1, "from": "1", "to": 2, "names": "a", "x": 1},
            [
                ("x", "unknown field; allowed are provider, from, to, names"),
                ("provider", "must be one of openai, anthropic"),
                ("from", NOT_A_TIME),
                ("to", "must be text"),
                ("names", NAMES),
            ],
        ),
        (OPENAI | {"names": [1]}, [("names", NAMES)]),
        (OPENAI | {"from": "2026-09-03"}, [("to", "must be after from")]),
        (OPENAI | {"from": "2026-06-01"}, [("to", "must be at most 93 days after from")]),
        (OPENAI | {"to": "9999-12-31T23:59:59Z"}, [("to", "is out of range")]),
    ],
)
def test_each_field_that_is_wrong_is_named(body, problems):
    with pytest.raises(InvalidBodyError) as raised:
        ReconciliationBody.request_of(json.dumps(body).encode(), NOW)
    assert raised.value.problems == problems
