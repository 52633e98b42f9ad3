"""`/api/v2/aibridge/device`: programs get a token when a user allows it in a browser (RFC 8628).

A program requests two codes, shows one, and requests its token with the other. Its user enters the code on the page,
which names the program and its address, and allows or denies it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.api.accounts import OWNERS_CREATE, check_creation
from handlers.api.sign_in.sign_in import SmallBodyHandler
from handlers.base import TOO_MANY_FAILURES
from handlers.dataplane.addresses import CONTROL_PLANE
from handlers.operations.operation import PEOPLE, Ask, operation
from handlers.problems import Problem
from intercept.callers import CLAUDE_CODE, client_name
from limits.headers import retry_headers
from limits.protection.mixin import client_key
from resources.bodies import Body, Readers, one_of
from resources.fields import doc
from storage.accounts.authentication import InvalidTokenError
from storage.accounts.events import Plane, Reason
from storage.accounts.sign_in.devices import (
    DEVICE_SECONDS,
    POLL_SECONDS,
    TOKEN_DAYS,
    Device,
    NoTokenError,
    PollError,
    TooManyDevicesError,
)
from storage.accounts.users import Token, UnknownIdentityError

MAX_CODE = 64
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_TYPE = "refresh_token"
LASTS = timedelta(days=TOKEN_DAYS)
ANSWERS = ("allow", "deny")


class DeviceCode(Struct):
    """What a program is given (RFC 8628 section 3.2)."""

    device_code: Annotated[str, doc("The program requests its token with it, and keeps it secret.")]
    user_code: Annotated[str, doc("The code that the user enters.")]
    verification_uri: Annotated[str, doc("Where.")]
    verification_uri_complete: Annotated[str, doc("The same with the code in it.")]
    expires_in: Annotated[int, Meta(ge=1, description="The seconds for which both codes are valid.")]
    interval: Annotated[int, Meta(ge=1, description="The seconds that the program waits between two requests.")]


class DeviceToken(Struct):
    """The token of a program (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(ge=0, description="The seconds for which it is valid.")]
    refresh_token: Annotated[str | UnsetType, doc("What refreshes it, below a provider.")] = UNSET


class DeviceError(Struct):
    """Why a program has no token (RFC 6749 section 5.2, RFC 8628 section 3.5)."""

    error: Literal[
        "authorization_pending",
        "access_denied",
        "expired_token",
        "invalid_request",
        "unsupported_grant_type",
        "temporarily_unavailable",
        "invalid_grant",
    ]
    error_description: str | UnsetType = UNSET


def _code(text: str) -> str:
    if not 0 < len(text) <= MAX_CODE:
        raise ValueError(f"must have 1 to {MAX_CODE} characters")
    return text


UserCode = Annotated[str, Meta(min_length=1, max_length=MAX_CODE, description="The code that the program shows.")]


class DeviceLookup(Body):
    """Which program shows a code."""

    readers: ClassVar[Readers] = {"user_code": _code}

    user_code: UserCode


class DeviceAnswer(DeviceLookup):
    """Whether the program that shows a code may have a token."""

    readers: ClassVar[Readers] = {"user_code": _code, "answer": one_of(ANSWERS, f"must be {' or '.join(ANSWERS)}")}

    answer: Literal["allow", "deny"]


TOO_MANY_STARTS = "Too many programs of this address asked for a code. Please try again later."
TOO_MANY_WAIT = "too many programs wait; try again in some minutes"


class ProgramHandler(SmallBodyHandler):
    """What a program asks, as forms of OAuth."""

    @property
    def at_desk(self) -> bool:
        """Whether Claude Code asks, below a provider."""
        return not self.request.path.startswith(f"{CONTROL_PLANE}device/")

    @property
    def form(self) -> dict[str, str]:
        """The fields of the body."""
        return dict(parse_qsl(self._body.decode("utf-8", "replace")))

    def send_json(self, value: DeviceCode | DeviceToken | DeviceError) -> None:
        """Respond; an error is 400 (RFC 6749 section 5.2)."""
        if isinstance(value, DeviceError):
            self.set_status(400)
        self.write_json(value)


class DeviceCodeHandler(ProgramHandler):
    """Adds a waiting program."""

    async def post(self) -> None:
        """Respond with two codes."""
        starts = self.bridge.device_starts
        if wait_ns := starts.wait_ns(lambda: client_key(self.client_ip)):
            raise Problem(429, TOO_MANY_STARTS, retry_headers(wait_ns))
        starts.count(client_key(self.client_ip))
        own_name = CLAUDE_CODE if self.at_desk else client_name(self.request.headers)  # some of its versions give none
        name = self.form.get("client_name", "").strip() or own_name
        try:
            codes = await self.bridge.devices.begin(name, self.client_ip, at_desk=self.at_desk)
        except TooManyDevicesError:
            self.send_json(DeviceError("temporarily_unavailable", TOO_MANY_WAIT))
            return
        page = f"{self.scheme}://{self.request.headers.get('Host', '')}/#/device"
        self.send_json(
            DeviceCode(
                device_code=codes.device_code,
                user_code=codes.user_code,
                verification_uri=page,
                verification_uri_complete=f"{page}/{codes.user_code}",
                expires_in=int(DEVICE_SECONDS),
                interval=int(POLL_SECONDS),
            )
        )


class DeviceTokenHandler(ProgramHandler):
    """Gives a program its token; below a provider it can be refreshed."""

    async def post(self) -> None:
        """Respond with the token, or with the reason why there is none yet."""
        if wait_ns := self.bridge.access.wait_ns(lambda: self.client_ip):
            raise Problem(429, TOO_MANY_FAILURES, retry_headers(wait_ns))
        form = self.form
        if self.at_desk and form.get("grant_type") == REFRESH_TYPE:
            await self._refresh(form.get("refresh_token", ""))
            return
        if form.get("grant_type") != GRANT_TYPE:
            self.send_json(DeviceError("unsupported_grant_type", f"grant_type must be {GRANT_TYPE}"))
            return
        if not form.get("device_code"):
            self.send_json(DeviceError("invalid_request", "device_code is required"))
            return
        try:
            token, text = await self.bridge.devices.fetch(form["device_code"])
        except NoTokenError as error:
            if error.why is PollError.EXPIRED_TOKEN:
                self.note_failure(Reason.UNKNOWN)
            self.send_json(DeviceError(error.why.value, str(error) or msgspec.UNSET))
            return
        # A token that must not outlive another one is not refreshed.
        lasts_long = token.expires_at is not None and token.expires_at - token.created_at > LASTS - timedelta(days=1)
        refresh = await self.bridge.identities.make_refreshable(token) if self.at_desk and lasts_long else UNSET
        self._send_token(token, text, refresh)

    async def _refresh(self, refresh: str) -> None:
        identities = self.bridge.identities
        try:
            found = await identities.refresh_token(refresh, lasts=LASTS, client_ip=self.client_ip)
        except InvalidTokenError as error:
            self.note_failure(error.reason, error.token_id)
            self.send_json(DeviceError("invalid_grant", "refresh_token is not valid"))
            return
        self._send_token(*found)

    def _send_token(self, token: Token, text: str, refresh: str | UnsetType) -> None:
        expires_in = int((token.expires_at - self.bridge.now()).total_seconds()) if token.expires_at else 0
        self.send_json(DeviceToken(text, "Bearer", max(expires_in, 0), refresh))


_RAISES = {403: OWNERS_CREATE, 404: "No waiting program has this code."}


@asynccontextmanager
async def _answering(ask: Ask) -> AsyncIterator[None]:
    """Check that the caller may have tokens, and count wrong codes: they are short.

    Raises:
        Problem: 403, they may not; 429, the address sent too many wrong codes.
    """
    check_creation(ask)
    if wait_ns := ask.bridge.access.wait_ns(lambda: ask.client_ip):
        raise Problem(429, TOO_MANY_FAILURES, retry_headers(wait_ns))
    try:
        yield
    except UnknownIdentityError:
        ask.bridge.access.failed(Reason.UNKNOWN, Plane.CONTROL, ask.client_ip)
        raise


@operation(
    "POST",
    "device/lookup",
    PEOPLE,
    tag="users",
    raises=_RAISES,
    example=DeviceLookup("WDJB-MJHT"),
)
async def look_up_device(ask: Ask, body: DeviceLookup) -> Device:
    """Find the program of a code.

    For its user, before they allow it.
    """
    async with _answering(ask):
        return await ask.bridge.devices.look_up(body.user_code)


@operation(
    "POST",
    "device/answer",
    PEOPLE,
    tag="users",
    raises=_RAISES,
    example=DeviceAnswer("WDJB-MJHT", "allow"),
)
async def answer_device(ask: Ask, body: DeviceAnswer) -> None:
    """Allow or deny a program a token.

    For its user. The token belongs to this user; it is created when the program fetches it.
    """
    async with _answering(ask):
        await ask.bridge.devices.answer(body.user_code, allow=body.answer == "allow", author=ask.author)
