"""All operations of the control plane."""

from __future__ import annotations

from handlers.api import demo_company, limits, vocabulary, what_if
from handlers.api.accounts import audit, explanation, groups, policies, tokens, usage, users, views
from handlers.api.alerts import webhooks
from handlers.api.money import prices, reconciliation, recosts, spend
from handlers.api.providers import configured, managed
from handlers.api.providers import usage as provider_usage
from handlers.api.recorded import errors, export, facets, interceptions, live, refusals, sessions, statistics
from handlers.api.sign_in import devices, sign_ins
from handlers.operations.operation import by_path, operations_of

OPERATIONS = [
    *operations_of(
        (
            *(audit, configured, demo_company, devices, errors, explanation, export, facets, groups),
            *(interceptions, limits, live, managed, policies, prices, provider_usage, reconciliation, recosts),
            *(
                refusals,
                sessions,
                sign_ins,
                spend,
                statistics,
                tokens,
                usage,
                users,
                views,
                vocabulary,
                webhooks,
                what_if,
            ),
        )
    ),
    *policies.OPERATIONS,
]
BY_PATH = by_path(OPERATIONS)
