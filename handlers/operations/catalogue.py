"""All operations of the control plane."""

from __future__ import annotations

from handlers.api import (
    accounts,
    audit,
    budgets,
    demo_company,
    desk_files,
    invitations,
    limits,
    money,
    policies,
    providers,
    views,
    vocabulary,
    webhooks,
    what_if,
)
from handlers.api.recorded import interceptions, sessions, statistics
from handlers.api.sign_in import devices
from handlers.operations.operation import by_path, operations_of

OPERATIONS = [
    *operations_of(
        (
            *(
                accounts,
                audit,
                budgets,
                demo_company,
                desk_files,
                devices,
                interceptions,
                invitations,
                limits,
                money,
                policies,
                providers,
            ),
            *(sessions, statistics, views, vocabulary, webhooks, what_if),
        )
    ),
    *policies.OPERATIONS,
]
BY_PATH = by_path(OPERATIONS)
