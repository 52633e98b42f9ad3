"""What programs ask that is no operation of the control plane: signing in, asking for a token, and probes. For everybody."""

from __future__ import annotations

from typing import Any

from handlers.api import spend_limits
from handlers.api.sign_in import desk, telemetry
from handlers.api.sign_in.devices import GRANT_TYPE, DeviceCode, DeviceError, DeviceToken
from handlers.api.sign_in.sign_in import SIGN_OUT_HEADER, SmallBodyHandler
from handlers.dataplane.addresses import CONTROL_PLANE
from handlers.monitoring.health import Health, Readiness
from handlers.openapi.calls import PARAMETERS, SECURITY
from handlers.openapi.parts import (
    CHALLENGE,
    JSON,
    Described,
    body,
    header,
    header_parameter,
    json_response,
    problem,
    response,
    retriable,
    shared,
)
from handlers.operations import description
from resources.accounts import SignIn, SignInWays

_COOKIE = {"Set-Cookie": header(str, "The cookie.")}
_SIGN_OUT = header(
    str,
    "Where the browser goes to be signed out of the OpenID provider too, with `oidc-sign-out`.",
)
_FAILURES = {"500": shared("InternalError"), "503": shared("Unavailable")}
_WITH_BODY = {
    "408": shared("LateBody"),
    "413": problem(f"The body has more than {SmallBodyHandler.MAX_BODY_BYTES} bytes."),
    "429": retriable("Too many requests from this address."),
    **_FAILURES,
}
_TAG = {"Etag": header(str, "Changes with what is sent.")}


def _asked(
    method: str,
    operation_id: str,
    summary: str,
    text: str,
    responses: dict[str, Described],
    *parameters: Described,
    **more: Any,
) -> dict[str, Described]:
    described = {"operationId": operation_id, "summary": summary, "description": text, "security": []} | more
    return {method: described | {"parameters": list(parameters), "responses": dict(sorted(responses.items()))}}


def _form(operation_id: str, summary: str, text: str, answer: Any, **fields: str) -> Described:
    """A form of OAuth that a program sends; `answer` is the type of the answer, None without one."""
    properties = {name: {"type": "string", "description": about} for name, about in fields.items()}
    schema = {"type": "object", "properties": properties, "additionalProperties": {"type": "string"}}
    responses = {
        "200": {"description": "It is done."} if answer is None else json_response("The answer.", answer),
        "400": json_response("An error of OAuth.", DeviceError),
        **_WITH_BODY,
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return _asked("post", operation_id, summary, text, responses, requestBody={"content": content})


def _below_provider(item: Described) -> Described:
    """The operations of a path below a provider. Their errors, also that there is no such one, are like those of its API."""
    for operation in item.values():
        others = {status: one for status, one in operation["responses"].items() if status < "4"}
        operation["responses"] = others | {"4XX": shared("Either"), "5XX": shared("Either")}
    return {"parameters": [PARAMETERS["Provider"]], **item}


_DESK: dict[str, Described] = {
    desk.METADATA: _asked(
        "get",
        "getDesk",
        "Where Claude Code signs in",
        "Below providers that serve Anthropic's Messages API: the metadata of RFC 8414.",
        {"200": json_response("The endpoints.", desk.DeskMetadata)},
    ),
    desk.SETTINGS: _asked(
        "get",
        "getDeskSettings",
        "What Claude Code is managed by",
        "What the policies of the user say, laid over one another; 404 if no policy of the user says anything.",
        {
            "200": json_response("The settings.", desk.DeskSettings, _TAG),
            "304": {
                "description": "The client has them: `If-None-Match` is their checksum in quotes.",
                "headers": _TAG,
            },
        },
        header_parameter("If-None-Match", str, "The ETag of what the client has."),
        security=SECURITY,
    ),
    desk.USAGE: _asked(
        "get",
        "getDeskUsage",
        "What Claude Code shows of its user's budget",
        "For its `/usage`, as the headers of calls tell of it.",
        {"200": json_response("What is spent.", desk.DeskUsage)},
        security=SECURITY,
    ),
    **{
        signal: _asked(
            "post",
            f"take{signal.rpartition('/')[2].title()}",
            f"Take the {signal.rpartition('/')[2]} of a client's telemetry",
            "By OTLP over HTTP. What a client says of its calls and tools is shown in its session.",
            {"200": json_response("It is taken, also where it cannot be read.", dict[str, str])},
            requestBody={
                "content": {
                    telemetry.JSON: {"schema": {"type": "object"}, "examples": {"empty": {"value": {}}}},
                    telemetry.PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
                }
            },
            security=SECURITY,
        )
        for signal in telemetry.SIGNALS
    },
    desk.DEVICE_AUTHORIZATION: _form(
        "beginDeskDevice",
        "Begin to sign in",
        "For Claude Code: the same as `/api/v2/aibridge/device/code`.",
        DeviceCode,
        surface="Not looked at.",
    ),
    desk.TOKEN: _form(
        "fetchDeskToken",
        "Fetch the token of a client that signs in",
        "For Claude Code: as `/api/v2/aibridge/device/token`; the token can be refreshed.",
        DeviceToken,
        grant_type=f"`{GRANT_TYPE}`, or `refresh_token`.",
        device_code="The code of the client.",
        refresh_token="What came with the token.",  # noqa: S106 - a description
    ),
    desk.REVOCATION: _form(
        "revokeDeskToken",
        "Sign out",
        "For Claude Code: the token is revoked (RFC 7009). That of a group is not.",
        None,
        token="The token.",  # noqa: S106 - what is said of it
    ),
}
SIGN_IN: dict[str, Described] = {
    "/api/v2/aibridge/users/me/session": _asked(
        "post",
        "signIn",
        "Sign in with a token",
        "For browsers: they get a session with the rights of the token, in a cookie. It ends with the token.",
        {
            "204": {"description": "The cookie is set.", "headers": _COOKIE},
            "400": problem("A field is missing, unknown or wrong."),
            "401": problem("The token or code is not valid.", CHALLENGE),
            "403": problem("The page is another site's, or signing in with tokens is off."),
            "415": problem("The body is not JSON."),
            **_WITH_BODY,
        },
        requestBody={
            "required": True,
            "content": {JSON: body(token=SignIn("d3W24SnZZB-0123456789abcdefghijkl"))},
        },
    )
    | _asked(
        "delete",
        "signOut",
        "Sign out",
        "The session is ended and its cookie cleared; the token stays valid.",
        {
            "204": {"description": "They are gone.", "headers": {**_COOKIE, SIGN_OUT_HEADER: _SIGN_OUT}},
            "403": problem("The request comes from a page of another site."),
            **_FAILURES,
        },
    ),
    "/api/v2/aibridge/sign-in": _asked(
        "get", "getSignIn", "The ways to sign in", "For the page.", {"200": json_response("The ways.", SignInWays)}
    ),
    "/api/v2/aibridge/device/code": _form(
        "beginDevice",
        "Request a token, which a user has to allow",
        "For programs: the device authorization request of RFC 8628.",
        DeviceCode,
        client_name="What the program calls itself.",
        client_id="Not looked at.",
    ),
    "/api/v2/aibridge/device/token": _form(
        "fetchDeviceToken",
        "Fetch it",
        "For programs: the device access token request of RFC 8628.",
        DeviceToken,
        grant_type=f"`{GRANT_TYPE}`.",
        device_code="The code of the program.",
        client_id="Not looked at.",
    ),
    **{"/api/v2/aibridge/{provider}" + path: _below_provider(item) for path, item in _DESK.items()},
}
SPEND_LIMITS: dict[str, Described] = {
    path.replace(CONTROL_PLANE, CONTROL_PLANE + "{provider}/"): _below_provider(item)
    for path, item in description.paths(
        one for methods in spend_limits.BY_PATH.values() for one in methods.values()
    ).items()
}
"""Below providers too."""

PROBES: dict[str, Described] = {
    "/healthz": _asked(
        "get",
        "getHealth",
        "Whether the process is alive",
        "For liveness probes.",
        {"200": json_response("It is.", Health)},
    ),
    "/readyz": _asked(
        "get",
        "getReadiness",
        "Whether calls are accepted",
        "For readiness probes and load balancers.",
        {
            "200": json_response("They are.", Readiness),
            "503": json_response("The server is stopping, or calls cannot be recorded.", Readiness),
        },
    ),
    "/metrics": _asked(
        "get",
        "getMetrics",
        "Every metric",
        "For Prometheus, in its text format. Names users' ids, models and tools.",
        {"200": response("All of them.", {"text/plain": {"schema": str}})},
    ),
    "/openapi.json": _asked(
        "get",
        "getDescription",
        "This description",
        "The description of all routes.",
        {
            "200": response("OpenAPI 3.1.", {JSON: {"schema": dict[str, Any]}}, _TAG),
            "304": {"description": "Not changed since the response with this `Etag`."},
        },
        header_parameter("If-None-Match", str, "The `Etag` of an earlier response."),
    ),
}
