"""Policies as documents, and their ids."""

from __future__ import annotations

from datetime import UTC, datetime

from limits.policies.policy import Budget, Limits, SharedLimits, SharedPolicy
from limits.policies.sources import Level, Source
from storage.policies.documents import (
    KeptPolicy,
    document_of,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


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
