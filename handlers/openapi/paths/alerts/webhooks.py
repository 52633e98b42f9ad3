"""Webhooks."""

from __future__ import annotations

from uuid import UUID

from handlers.api.alerts.webhooks import NOT_YOURS
from handlers.openapi.errors import only_owners, problem
from handlers.openapi.methods import delete, get, patch, post
from handlers.openapi.operations import ETAG, IF_MATCH, Described, body, in_path, json_response, location
from handlers.problems import sentence
from resources.alerts.webhooks import (
    Delivery,
    NewWebhook,
    SentTest,
    Webhook,
    WebhookChange,
)
from resources.fields import WholeList
from storage.alerts.outbox import DELIVERIES_KEPT, MAX_LISTED
from storage.alerts.webhooks import CHANGED, TOO_MANY, UNKNOWN

_ID = "7b0f6f0e-52a1-4c37-8b7f-3d2a3d0f9a55"
_STALE = {"412": problem("It has another version.", sentence(CHANGED))}
_PARAMETER = in_path("id", UUID, "The id of the webhook.")
_NOT_OWNER = only_owners(NOT_YOURS)
_NONE = {"404": problem("There is none.", sentence(UNKNOWN))}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/webhooks": get(
        "listWebhooks",
        "Webhooks, which receive alerts",
        "Each with the result of its last delivery. For owners.",
        responses={"200": json_response("All of them.", WholeList[Webhook])} | _NOT_OWNER,
    )
    | post(
        "addWebhook",
        "Add a webhook",
        "For owners. Messages are signed as in Standard Webhooks. Only this response has the secret.",
        request=body(webhook=NewWebhook(url="https://hooks.example.com/aibridge")),
        responses={
            "201": json_response("It was added.", Webhook, location(f"/api/v2/aibridge/webhooks/{_ID}") | ETAG),
            "409": problem("There are too many.", sentence(TOO_MANY)),
        }
        | _NOT_OWNER,
    ),
    "/api/v2/aibridge/webhooks/{id}": get(
        "getWebhook",
        "A webhook",
        "For owners.",
        parameters=(_PARAMETER,),
        responses={"200": json_response("The webhook.", Webhook, ETAG)} | _NOT_OWNER | _NONE,
    )
    | patch(
        "changeWebhook",
        "Change a webhook",
        "For owners. Fields that are not given stay unchanged.",
        parameters=(_PARAMETER, IF_MATCH),
        request=body(off=WebhookChange(disabled=True)),
        responses={"200": json_response("The webhook after the change.", Webhook, ETAG)} | _NOT_OWNER | _NONE | _STALE,
    )
    | delete(
        "removeWebhook",
        "Remove a webhook",
        "For owners. Its waiting deliveries are removed too.",
        parameters=(_PARAMETER, IF_MATCH),
        responses={"204": {"description": "It is gone."}} | _NOT_OWNER | _NONE | _STALE,
    ),
    "/api/v2/aibridge/webhooks/{id}/deliveries": get(
        "listDeliveries",
        "The last deliveries of a webhook",
        f"The newest {MAX_LISTED} of the last {DELIVERIES_KEPT.days} days, the last one first. For owners.",
        parameters=(_PARAMETER,),
        responses={"200": json_response("The deliveries.", WholeList[Delivery])} | _NOT_OWNER | _NONE,
    ),
    "/api/v2/aibridge/webhooks/{id}/test": post(
        "testWebhook",
        "Send a test",
        "For owners. The result is in `last_delivery` of the webhook, a few seconds later.",
        parameters=(_PARAMETER,),
        responses={"202": json_response("It is being delivered.", SentTest)} | _NOT_OWNER | _NONE,
    ),
}
