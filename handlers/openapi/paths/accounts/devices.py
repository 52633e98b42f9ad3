"""Programs that get a token by their user's word in a browser."""

from __future__ import annotations

from handlers.api.accounts.tokens import OWNERS_CREATE, SERVICE
from handlers.api.sign_in.devices import TOO_MANY_STARTS
from handlers.api.sign_in.sign_in import MAX_BODY_BYTES
from handlers.base import TOO_MANY_FAILURES
from handlers.openapi.errors import problem, retriable
from handlers.openapi.methods import post
from handlers.openapi.operations import Described, body, json_response, shared
from handlers.problems import sentence
from http1.errors import BODY_TOO_LARGE, UNREADABLE
from resources.accounts.devices import (
    GRANT_TYPE,
    Device,
    DeviceAnswer,
    DeviceCode,
    DeviceError,
    DeviceLookup,
    DeviceToken,
)
from storage.accounts.sign_in.devices import NO_CODE

_FORM = "application/x-www-form-urlencoded"
_MAY_NOT = problem("The caller may not create tokens.", OWNERS_CREATE, SERVICE)
_NO_CODE = problem("No waiting program has this code.", sentence(NO_CODE))


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
    "/api/v2/aibridge/device/lookup": post(
        "lookUpDevice",
        "Find the program of a code",
        "For its user, before they allow it.",
        request=body(code=DeviceLookup("WDJB-MJHT")),
        responses={"200": json_response("The program.", Device), "403": _MAY_NOT, "404": _NO_CODE},
    ),
    "/api/v2/aibridge/device/answer": post(
        "answerDevice",
        "Allow or deny a program a token",
        "For its user. The token belongs to this user; it is created when the program fetches it.",
        request=body(allow=DeviceAnswer("WDJB-MJHT", "allow")),
        responses={"204": {"description": "It is answered."}, "403": _MAY_NOT, "404": _NO_CODE},
    ),
}
