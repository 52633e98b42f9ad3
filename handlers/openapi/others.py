"""What is no operation of the control plane: signing in, programs that ask for a token, probes, and pages. For everybody."""

from __future__ import annotations

from typing import Any

from handlers.api.sign_in.devices import GRANT_TYPE, DeviceCode, DeviceError, DeviceToken
from handlers.api.sign_in.sign_in import CODE_OVER, FOREIGN, MAX_BODY_BYTES, SIGN_OUT_HEADER, TOKEN_OFF
from handlers.api.sign_in.single_sign_on import BEGIN, CALLBACK, NO_PROVIDER
from handlers.base import UNRECOGNISED
from handlers.monitoring.health import Health, Readiness
from handlers.openapi.parts import (
    CHALLENGE,
    JSON,
    Described,
    body,
    header,
    header_parameter,
    in_path,
    json_response,
    problem,
    query,
    response,
    retriable,
    shared,
)
from resources.accounts import SignIn, SignInWays

_COOKIE = {"Set-Cookie": header(str, "The cookie.", "ai_bridge_session=SESSION; HttpOnly; Path=/; SameSite=Strict")}
_SIGN_OUT = header(
    str,
    "Where the browser goes to be signed out of the OpenID provider too, with `oidc-sign-out`.",
    "https://id.example/logout?client_id=ai-bridge",
)
_REDIRECT = {
    "303": {"description": "A redirect.", "headers": {"Location": header(str, "Where to.", "/#/overview"), **_COOKIE}},
    "404": problem("There is no provider.", NO_PROVIDER),
}
_WITH_BODY = {
    "408": shared("LateBody"),
    "413": problem(f"The body has more than {MAX_BODY_BYTES} bytes."),
    "429": retriable("Too many requests from this address."),
    "500": shared("InternalError"),
    "503": shared("Unavailable"),
}
_TAG = {"Etag": header(str, "Changes with what is sent.", '"5e0d1f2b3c4a5968"')}
_IF_NONE_MATCH = header_parameter("If-None-Match", str, "The `Etag` of an earlier response.")
_UNCHANGED = {"304": {"description": "Not changed since the response with this `Etag`."}}
_HTML = {"text/html": {"schema": str}}
_PAGE = {
    "200": response("The page.", _HTML, _TAG),
    "503": response("What it needs of other packages is not installed.", _HTML, _TAG),
    **_UNCHANGED,
}
_METRIC = 'coder_aibridged_interceptions_inflight{model="gpt-5",provider="openai",route="/v1/responses"} 1.0\n'


def _public(
    operation_id: str,
    summary: str,
    text: str,
    responses: dict[str, Described],
    *parameters: Described,
    **more: Any,
) -> Described:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": text,
        "security": [],
        "parameters": list(parameters),
        "responses": dict(sorted(responses.items())),
        **more,
    }


def _read(operation_id: str, *described: Any) -> Described:
    """GET, and HEAD."""
    return {"get": _public(operation_id, *described), "head": _public(operation_id + "Head", *described)}


def _form(operation_id: str, summary: str, text: str, answer: Any, **fields: str) -> Described:
    """A form of OAuth that a program sends."""
    properties = {name: {"type": "string", "description": about} for name, about in fields.items()}
    schema = {"type": "object", "properties": properties, "additionalProperties": {"type": "string"}}
    responses = {
        "200": json_response("The answer.", answer),
        "400": json_response("An error of OAuth.", DeviceError),
        **_WITH_BODY,
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"post": _public(operation_id, summary, text, responses, requestBody={"content": content})}


SIGN_IN: dict[str, Described] = {
    "/api/v2/aibridge/users/me/session": {
        "post": _public(
            "signIn",
            "Sign in with a token",
            "For browsers: they get a session with the rights of the token, in a cookie. It ends with the token.",
            {
                "204": {"description": "The cookie is set.", "headers": _COOKIE},
                "400": problem("A field is missing, unknown or wrong."),
                "401": problem(
                    "The token or code is not valid.", UNRECOGNISED, CODE_OVER, headers={"WWW-Authenticate": CHALLENGE}
                ),
                "403": problem("The page is another site's, or signing in with tokens is off.", FOREIGN, TOKEN_OFF),
                "415": problem("The body is not JSON."),
                **_WITH_BODY,
            },
            requestBody={
                "required": True,
                "content": {JSON: body(token=SignIn("d3W24SnZZB-0123456789abcdefghijkl"))},
            },
        ),
        "delete": _public(
            "signOut",
            "Sign out",
            "The session is ended and its cookie cleared; the token stays valid.",
            {
                "204": {"description": "They are gone.", "headers": {**_COOKIE, SIGN_OUT_HEADER: _SIGN_OUT}},
                "403": problem("The request comes from a page of another site.", FOREIGN),
                "500": shared("InternalError"),
                "503": shared("Unavailable"),
            },
        ),
    },
    "/api/v2/aibridge/sign-in": _read(
        "getSignIn", "The ways to sign in", "For the page.", {"200": json_response("The ways.", SignInWays)}
    ),
    BEGIN: {
        "get": _public(
            "beginSignIn",
            "Sign in at the OpenID provider",
            "For browsers. Redirects to the provider, or back to the page if the provider is unavailable.",
            _REDIRECT,
            query(
                "view", str, "What the dashboard shows afterwards, as it stands behind `#/`.", example="interceptions"
            ),
        )
    },
    CALLBACK: {
        "get": _public(
            "endSignInElsewhere",
            "Finish a sign-in at the OpenID provider",
            "For browsers. Redirects to the dashboard, with a session or with a word for the reason why there is none.",
            _REDIRECT,
            query("code", str, "The provider's code."),
            query("state", str, "What the sign-in was begun with."),
            query("iss", str, "The provider (RFC 9207)."),
            query("error", str, "Why nobody signed in (RFC 6749)."),
        )
    },
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
}
PROBES: dict[str, Described] = {
    "/healthz": _read(
        "getHealth", "Whether the process is alive", "For liveness probes.", {"200": json_response("It is.", Health)}
    ),
    "/readyz": _read(
        "getReadiness",
        "Whether calls are accepted",
        "For readiness probes and load balancers.",
        {
            "200": json_response("They are.", Readiness),
            "503": json_response("The server is stopping, or calls cannot be recorded.", Readiness),
        },
    ),
    "/metrics": _read(
        "getMetrics",
        "Every metric",
        "For Prometheus, in its text format. Names users' ids, models and tools.",
        {"200": response("All of them.", {"text/plain": body(metric=_METRIC)})},
    ),
    "/openapi.json": _read(
        "getDescription",
        "This description",
        "The description of all routes.",
        {"200": response("OpenAPI 3.1.", {JSON: {"schema": dict[str, Any]}}, _TAG), **_UNCHANGED},
        _IF_NONE_MATCH,
    ),
}
PAGES: dict[str, Described] = {
    "/": _read("getDashboard", "The dashboard", "It shows what the operations above tell.", _PAGE, _IF_NONE_MATCH),
    "/docs": _read(
        "getDocs",
        "This description as a page",
        "Each operation with its fields and examples, to try in a browser that has signed in.",
        _PAGE,
        _IF_NONE_MATCH,
    ),
    "/dashboard/{file}": _read(
        "getDashboardFile",
        "A file of the dashboard",
        "Scripts, styles, pictures. Pages name them with an edition before the path, which changes with any file.",
        {
            "200": response("The file.", {"*/*": {}}, _TAG),
            "404": problem("There is no such file."),
            **_UNCHANGED,
        },
        in_path("file", str, "Its path; it may have slashes, and an edition before it."),
        _IF_NONE_MATCH,
    ),
}
