"""Where records and a provider's reports agree."""

from __future__ import annotations

from handlers.api.money.reconciliation import NO_KEY, NOT_YOURS_TO_SEE, RECONCILE_SECONDS, TOO_SLOW
from handlers.api.recorded.watched import TOO_MANY_EXPORTS_OF_USER
from handlers.openapi.errors import problem, retriable
from handlers.openapi.methods import post
from handlers.openapi.operations import Described, body, json_response
from limits.protection.user_shares import MAX_EXPORTS
from resources.money.reconciliation import Reconciliation
from resources.money.reconciliation_body import ReconciliationBody

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/spend/reconciliation": post(
        "reconcileSpend",
        "Compare records with what a provider reports and bills",
        "A row for each day and model. The provider's reports are read while the request waits, with the admin key of the "
        "settings. Nothing is changed. For owners and auditors.",
        request=body(november=ReconciliationBody("anthropic", "2026-11-01", "2026-12-01")),
        responses={
            "200": json_response("What came out.", Reconciliation),
            "403": problem("Only owners and auditors may do this.", NOT_YOURS_TO_SEE),
            "409": problem("No key for the reports is set.", NO_KEY.format("anthropic", "anthropic")),
            "429": retriable(
                "A long request of the user is in progress.", TOO_MANY_EXPORTS_OF_USER.format(MAX_EXPORTS)
            ),
            "502": problem(
                "The provider refuses its reports; the message says why.",
                "api.anthropic.com answers 401 to /v1/organizations/analytics/usage: it does not know the key; give an "
                "admin key in reconcile-anthropic-key",
            ),
            "504": problem("The reports take too long.", TOO_SLOW.format("anthropic", RECONCILE_SECONDS)),
        },
    )
}
