"""Policies as documents, and their ids."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from limits.policies.policy import Budget, Limits, Policy, SharedLimits, SharedPolicy
from limits.policies.reading import InvalidPolicyError
from limits.policies.sources import Level, Source
from storage.policies.documents import (
    KeptPolicy,
    document_of,
    format_usd,
    kind_of,
    level_of,
    path_of,
    read_document,
)
from tests.cases import for_each

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PATHS = [
    (Level.EVERYONE, "", "everyone"),
    (Level.GROUP, "research", "groups/research"),
    (Level.USER, "ada@example.com", "users/ada@example.com"),
    (Level.TOKEN, "abcdefghij", "tokens/abcdefghij"),
]


@for_each(("level", "key", "path"), PATHS)
def test_a_path_says_the_level_and_whose_the_policy_is(level, key, path):
    assert path_of(level, key) == path
    assert level_of(path) == (level, key)


@for_each("path", ["", "/", "nobody", "nobody/1", "everyone/", "everyone/1", "groups", "users/", "/ada"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="is not the path of a policy") as caught:
        level_of(path)
    assert str(caught.value) == f"{path!r} is not the path of a policy"


def test_the_policies_of_many_have_another_shape_than_those_of_one():
    assert [kind_of(level) for level, _, _ in PATHS] == [SharedPolicy, SharedPolicy, Policy, Policy]


def test_the_document_has_micro_dollars_at_any_depth():
    budgets = SharedLimits(
        each_member=Limits(budget=Budget(0.25, "day")), together=Limits(concurrency=3, budget=Budget("500", "month"))
    )
    kept = KeptPolicy(Source(Level.GROUP, "6c1f", "research"), SharedPolicy(limits=budgets, byok="deny"), "9f8e", NOW)
    assert document_of(kept) == {
        "_id": "groups/6c1f",
        "schema_version": 1,
        "level": "group",
        "key": "6c1f",
        "name": "research",
        "version": "9f8e",
        "changed_at": NOW,
        "policy": {
            "limits": {
                "each_member": {"budget": {"micro_dollars": 250_000, "period": "day"}},
                "together": {"concurrency": 3, "budget": {"micro_dollars": 500_000_000, "period": "month"}},
            },
            "byok": "deny",
        },
    }


def test_a_document_with_an_unknown_field_is_no_policy():
    document = document_of(KeptPolicy(Source(Level.EVERYONE), SharedPolicy(), "v"))
    with pytest.raises(InvalidPolicyError) as caught:
        read_document(document | {"policy": {"limits": {"moon": 1}}})
    assert (caught.value.field, caught.value.rule) == (
        "limits.moon",
        "unknown field; allowed are each_member, together",
    )


@for_each("policy", [None, [], "x"])
def test_a_document_whose_policy_is_no_object_is_no_policy(policy):
    document = document_of(KeptPolicy(Source(Level.EVERYONE), SharedPolicy(), "v"))
    with pytest.raises(InvalidPolicyError) as caught:
        read_document(document | {"policy": policy})
    assert (caught.value.field, caught.value.rule) == ("", "must be a JSON object")


@for_each(
    ("micro_dollars", "usd"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (500_000, "0.50"),
        (50_000_000, "50.00"),
        (1_234_500_001, "1234.500001"),
        (5_100, "0.0051"),
    ],
)
def test_money_is_text_with_cents_and_more_digits_only_where_it_has_them(micro_dollars, usd):
    assert format_usd(micro_dollars) == usd
    assert Budget(usd, "day").micro_dollars == micro_dollars
