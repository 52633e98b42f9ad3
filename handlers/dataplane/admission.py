"""Whether a request may start. This is decided before its body is read, so that a refusal costs neither memory nor a call."""

from __future__ import annotations

from handlers.base import TOO_MANY_REQUESTS
from handlers.dataplane.addresses import find_unavailability
from handlers.dataplane.incoming_form import IncomingForm
from handlers.dataplane.proxy import ProxyHandler
from handlers.problems import Problem, body_too_large, policies_unknown, stopping
from handlers.timer import ADMISSION, AUTHENTICATION
from intercept.ids import format_id
from intercept.refusals import Rule
from intercept.tags import read_tags
from limits.protection.mixin import client_key
from limits.request_limits import Client
from storage.policies.followed import PoliciesUnknownError

BYOK_DISABLED = "Bring Your Own Key (BYOK) mode is not enabled."
BYOK_DENIED = "Bring Your Own Key (BYOK) is not allowed here: {} denies byok."


async def admit(handler: ProxyHandler, *, is_free: bool = False) -> None:
    """Admit a request, or refuse it: the cheapest question comes first. `is_free`: it only counts, or cancels what was begun.

    Raises:
        Problem: The server stops, no valid token, tags that cannot be recorded, an own key is not allowed, or the body is too
            large.
        OverloadedError: Concurrency or rate.
    """
    if handler.bridge.lifecycle.draining:
        raise stopping()
    await handler.acquire_slot()
    await _identify(handler)
    read_tags(handler.request.headers)  # raises where they cannot be recorded
    await handler.count_request(client_of(handler, is_free=is_free))
    check_own_key(handler)
    if declared_length(handler) > handler.max_body_bytes:
        raise body_too_large(handler.max_body_bytes)


def client_of(handler: ProxyHandler, *, is_free: bool = False) -> Client:
    """Whose request it is, for the limits. `is_free`: it uses nothing."""
    identity, pays = handler.identity, handler.credentials.own_key is not None
    return Client(identity.token_id, format_id(identity.user.id), pays, handler.policy, is_free)


async def check_again(handler: ProxyHandler, provider_name: str) -> None:
    """Check again, with the caller's current groups and policies, what may change while a WebSocket lasts for hours.

    Raises:
        Problem: 503, the provider was disabled or removed, or the token or the policies cannot be checked now; 401 or 429, the
            token is not valid any more; 403, an own key is not allowed any more.
    """
    if (unavailable := find_unavailability(handler.bridge, provider_name)) is not None:
        raise unavailable
    handler.identity = await handler.authenticate(handler.credentials)
    _find_policies(handler)
    check_own_key(handler)


def check_own_key(handler: ProxyHandler) -> None:
    """Check that an own key may be used, if the client sent one.

    Raises:
        Problem: 403, it may not.
    """
    if handler.credentials.own_key is not None and (denied := deny_own_key(handler)) is not None:
        raise denied


def deny_own_key(handler: ProxyHandler) -> Problem | None:
    """The refusal of an own key; None where one may be used."""
    if not handler.bridge.settings.allow_byok:
        return Problem(403, BYOK_DISABLED, rule=Rule.OWN_KEY_NOT_ALLOWED)
    if handler.policy is not None and (source := handler.policy.denies_own_key) is not None:
        message = BYOK_DENIED.format(source)
        return Problem(403, message, rule=Rule.OWN_KEY_NOT_ALLOWED, policy=str(source))
    return None


async def _identify(handler: ProxyHandler) -> None:
    """Authenticate the request. Without a valid token it counts for its address.

    Raises:
        Problem: 401 without a valid token, 429 after too many of them, 503 if it or the policies cannot be checked now.
        OverloadedError: 429, the address made too many requests.
    """
    handler.timer.enter(AUTHENTICATION)
    handler.credentials = handler.read_credentials()
    try:
        handler.identity = identity = await handler.authenticate(handler.credentials)
    except Problem as problem:
        handler.timer.enter(ADMISSION)
        if problem.status != TOO_MANY_REQUESTS:
            await handler.count_request(Client(client_key(handler.client_ip)))
        raise
    handler.timer.enter(ADMISSION)
    handler.add_known(user_id=identity.user.id)
    _find_policies(handler)


def _find_policies(handler: ProxyHandler) -> None:
    try:
        handler.policy = handler.bridge.policies.find(handler.identity)
    except PoliciesUnknownError as error:
        raise policies_unknown() from error


def declared_length(handler: ProxyHandler) -> int:
    """The declared length of the body; 0 without one. The HTTP server has checked that it is a number."""
    content_length = handler.request.headers.get("Content-Length", "")
    return int(content_length[:18]) if content_length.isdecimal() else 0


def expect_form(handler: ProxyHandler, *, reads_fields: bool, names_model: bool) -> None:
    """Mark the body of a request as a form that is sent to the provider while it arrives.

    Args:
        handler: Of the request, before it is admitted.
        reads_fields: Whether fields of it are recorded.
        names_model: Whether it names the model, which must be known before it is sent.
    """
    headers, settings = handler.request.headers, handler.bridge.settings
    handler.form = IncomingForm(
        headers.get("Content-Type", ""),
        None if "Transfer-Encoding" in headers else declared_length(handler),
        reads_fields=reads_fields,
        needs_model=names_model,
        max_bytes=settings.max_form_bytes,
        max_held_bytes=settings.max_body_bytes,
    )
