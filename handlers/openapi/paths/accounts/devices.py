"""Programs that get a token by their user's word in a browser."""

from __future__ import annotations

from handlers.api.sign_in.devices import TOO_MANY_STARTS
from handlers.api.sign_in.sign_in import MAX_BODY_BYTES
from handlers.base import TOO_MANY_FAILURES
from handlers.openapi.errors import problem, retriable
from handlers.openapi.operations import Described, json_response, shared
from http1.errors import BODY_TOO_LARGE, UNREADABLE
from resources.accounts.devices import (
    GRANT_TYPE,
    DeviceCode,
    DeviceError,
    DeviceToken,
)

_FORM = "application/x-www-form-urlencoded"


def _operation(
    operation_id: str, summary: str, description: str, *, fields: dict[str, str], ok: Described, busy: str
) -> Described:
    """What a program asks."""
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    return {
        "post": {
            "operationId": operation_id,
            "summary": summary,
            "description": description,
            "security": [],
            "requestBody": {
                "content": {
                    _FORM: {
                        "schema": {
                            "type": "object",
                            "properties": properties,
                            "additionalProperties": {"type": "string"},
                        }
                    }
                }
            },
            "responses": {
                "200": ok,
                "400": json_response("An error of OAuth.", DeviceError),
                "408": shared("LateBody"),
                "413": problem("The body is too large.", UNREADABLE.format(BODY_TOO_LARGE.format(MAX_BODY_BYTES))),
                "429": retriable("Too many requests from this address.", busy),
                "500": shared("InternalError"),
                "503": shared("Unavailable"),
            },
        }
    }


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/device/code": _operation(
        "beginDevice",
        "Request a token, which a user has to allow",
        "For programs: the device authorization request of RFC 8628.",
        fields={"client_name": "What the program calls itself.", "client_id": "Not looked at."},
        ok=json_response("The codes.", DeviceCode),
        busy=TOO_MANY_STARTS,
    ),
    "/api/v2/aibridge/device/token": _operation(
        "fetchDeviceToken",
        "Fetch it",
        "For programs: the device access token request of RFC 8628.",
        fields={
            "grant_type": f"`{GRANT_TYPE}`.",
            "device_code": "The code of the program.",
            "client_id": "Not looked at.",
        },
        ok=json_response("The token.", DeviceToken),
        busy=TOO_MANY_FAILURES,
    ),
}
