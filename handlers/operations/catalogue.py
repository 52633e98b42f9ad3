"""All operations of the control plane."""

from __future__ import annotations

from handlers.api.accounts import views
from handlers.api.alerts import webhooks
from handlers.operations.operation import by_path, operations_of

OPERATIONS = operations_of((views, webhooks))
BY_PATH = by_path(OPERATIONS)
