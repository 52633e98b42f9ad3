"""Below a provider that serves Anthropic's Messages API: Claude Code signs in at the bridge by its "Cloud gateway".

The client reads where to sign in, gets a token by the device authorization grant (RFC 8628), and revokes it when it signs
out (RFC 7009). The token is one like those of other programs that a user allows, but it can be refreshed.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.api.sign_in.devices import (
    GRANT_TYPE,
    REFRESH_TYPE,
    DeviceCodeHandler,
    DeviceError,
    DeviceTokenHandler,
    ProgramHandler,
)
from handlers.api.sign_in.telemetry import SIGNALS, SignedInHandler, TelemetryHandler
from handlers.base import BridgeHandler
from handlers.dataplane.addresses import CONTROL_PLANE
from handlers.identity.credentials import Credentials
from handlers.problems import Problem
from intercept.ids import format_id
from intercept.times import format_time
from limits.desk import end_of, fullest, part_spent, severity_of
from limits.limit import PERIODS
from limits.policies.managed_settings import checksum_of
from limits.request_limits import Client
from resources.fields import Time, doc
from storage.accounts.audit import Author
from storage.accounts.events import Plane

METADATA = "/.well-known/oauth-authorization-server"
DEVICE_AUTHORIZATION = "/oauth/device_authorization"
TOKEN = "/oauth/token"  # noqa: S105 - a path
REVOCATION = "/oauth/revoke"
SETTINGS = "/managed/settings"
USAGE = "/api/oauth/usage"

_CENT = 10_000
"""In micro-dollars."""

NO_SETTINGS = "No policy has managed settings for this user."


class DeskSettings(Struct):
    """The managed settings of a client."""

    uuid: Annotated[str, doc("The same as `checksum`.")]
    checksum: Annotated[str, doc("As the client computes it; in quotes it is the ETag.")]
    settings: Annotated[dict[str, Any], doc("As in `managed-settings.json`.")]


class DeskSpend(Struct):
    """What a user spent in a period without a budget, in cents of a US dollar."""

    used_credits: Annotated[float, Meta(ge=0)]
    limit: None = None
    utilization: None = None


class DeskMoney(Struct):
    """What a user spends, in cents of a US dollar. Of the fullest budget; where there is none of the month, week and day."""

    monthly_limit: Annotated[float | None, doc("Whatever its period is.")]
    used_credits: Annotated[float, Meta(ge=0)]
    utilization: Annotated[float | None, doc("In per cent.")]
    daily: DeskSpend | UnsetType = UNSET
    weekly: DeskSpend | UnsetType = UNSET
    is_enabled: bool = True
    currency: str = "USD"


class DeskBudget(Struct):
    """A budget."""

    group: Annotated[Literal["daily", "weekly", "monthly"], doc("Its period.")]
    percent: Annotated[float, Meta(ge=0, description="How much of it is spent.")]
    resets_at: Annotated[Time, doc("When its period ends.")]
    severity: Literal["normal", "warning", "critical"]
    kind: str = "spend"
    is_active: bool = True


class DeskUsage(Struct):
    """What a client shows of its user's budget."""

    extra_usage: DeskMoney
    limits: Annotated[list[DeskBudget], doc("The budget of which the largest part is spent, if it has a period.")]


class DeskMetadata(Struct):
    """Where a client signs in (RFC 8414)."""

    issuer: Annotated[str, doc("The base URL of the provider at the bridge.")]
    device_authorization_endpoint: Annotated[str, doc("Where the client requests its codes.")]
    token_endpoint: Annotated[str, doc("Where it requests its token.")]
    revocation_endpoint: Annotated[str, doc("Where it ends its token.")]
    grant_types_supported: tuple[str, ...] = (GRANT_TYPE, REFRESH_TYPE)
    response_types_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("none",)
    gateway_protocol_version: int = 1


class MetadataHandler(BridgeHandler):
    """Says where to sign in, as the client has reached the server."""

    plane = Plane.SIGN_IN

    async def get(self) -> None:
        """Send it to anybody."""
        path = self.request.path.removesuffix(METADATA)
        base = f"{self.scheme}://{self.request.headers.get('Host', '')}{path}"
        metadata = DeskMetadata(base, base + DEVICE_AUTHORIZATION, base + TOKEN, base + REVOCATION)
        self.set_header("Cache-Control", "no-store")
        self.write_json(metadata)


class RevocationHandler(ProgramHandler):
    """Ends the token that a client signs out with."""

    async def post(self) -> None:
        """Respond with 200 also to a token that is not valid: it cannot be used, which is what was asked for."""
        token = self.form.get("token")
        if not token:
            self.send_json(DeviceError("invalid_request", "token is required"))
            return
        try:
            identity = await self.authenticate(Credentials(token), fresh=True)
        except Problem as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED:
                raise
            return
        if identity.token_id and not identity.user.is_service:  # such a token changes nothing
            author = Author(identity.user, self.client_ip, identity.token_id, identity.expires_at)
            await self.bridge.identities.revoke_token(identity.token_id, author=author)


class UsageHandler(SignedInHandler):
    """Sends a client what its user has spent, for its `/usage`."""

    async def get(self) -> None:
        """Respond with the fullest budget, as the headers of calls tell of it."""
        identity, bridge = await self.authenticate(self.read_credentials()), self.bridge
        client = Client(identity.token_id, format_id(identity.user.id), policy=bridge.policies.find(identity))
        limits = bridge.overload.limits
        states = await bridge.overload.states([*limits.of_client(client), *limits.of_call(client)])
        self.set_header("Cache-Control", "no-store")
        if (state := fullest(states)) is None:
            day, week, month = [float(await bridge.people.spend_of(identity.user, one) * 100) for one in PERIODS]
            self.write_json(DeskUsage(DeskMoney(None, month, None, DeskSpend(day), DeskSpend(week)), []))
            return
        limit, percent, budgets = state.limit, round(part_spent(state) * 100, 2), []
        if end := end_of(limit, bridge.now()):
            budgets = [DeskBudget(PERIODS[limit.period], percent, format_time(end), severity_of(state))]
        self.write_json(DeskUsage(DeskMoney(limit.maximum / _CENT, state.used / _CENT, percent), budgets))


class SettingsHandler(SignedInHandler):
    """Sends a client its managed settings. All of it is in memory: without an answer the client does not start."""

    _checksum = ""

    async def get(self) -> None:
        """Respond with what the policies of the user say; 304 if the client has it, 404 if no policy says anything."""
        identity = await self.authenticate(self.read_credentials())
        self.set_header("Cache-Control", "private, no-cache")
        effective = self.bridge.policies.find(identity)
        provider = self.request.path.removeprefix(CONTROL_PLANE).partition("/")[0]
        settings = effective.managed_settings_at(provider) if effective else None
        if settings is None:
            raise Problem(404, NO_SETTINGS)
        self._checksum = checksum_of(settings)
        self.write_json(DeskSettings(self._checksum, self._checksum, settings))

    def compute_etag(self) -> str | None:
        """What the client sends back as `If-None-Match`."""
        return f'"{self._checksum}"' if self._checksum else None


HANDLERS: Mapping[str, type[BridgeHandler]] = {
    METADATA: MetadataHandler,
    DEVICE_AUTHORIZATION: DeviceCodeHandler,
    TOKEN: DeviceTokenHandler,
    REVOCATION: RevocationHandler,
    SETTINGS: SettingsHandler,
    USAGE: UsageHandler,
    **dict.fromkeys(SIGNALS, TelemetryHandler),
}
"""What is served below the base URL of a provider that serves Anthropic's Messages API, by path."""
