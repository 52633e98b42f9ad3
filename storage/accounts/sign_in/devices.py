"""Programs that get a token when a user allows it in a browser: the device authorization grant.

Source: RFC 8628. A program shows a short user code, and polls with a long device code; somebody who is
signed in enters the user code and allows it or not. Of both codes the database keeps a SHA-256, and of the token, which
is made when the program fetches it, what is kept of every token.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from storage.accounts.audit import ANSWER_SECONDS, Author
from storage.accounts.authentication import InvalidTokenError
from storage.accounts.identities import Identities
from storage.accounts.token_texts import digest, has_ended, new_token
from storage.accounts.users import MAX_NAME, IdentityError, Token, UnknownIdentityError, readable
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session
from storage.mongo.documents.stored import Hidden, Stored, StoredTime

DEVICE_SECONDS = 600.0
"""How long a user code may be answered, and its token fetched."""

POLL_SECONDS = 5.0
"""How long a program is to wait between requests."""

TOKEN_DAYS = 90
"""How long the token of a program is valid."""

MAX_DEVICES = 10_000
"""Programs that wait at the same time, on all servers together."""

# No vowels, so it forms no words, and no characters that look alike (RFC 8628 section 6.1).
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_CODE_LENGTH = 8
NO_CODE = "there is no such code; it may have expired, or was answered"


class DeviceState(StrEnum):
    """What became of a program's request."""

    PENDING = "pending"
    ALLOWED = "allowed"
    DENIED = "denied"


class PollError(StrEnum):
    """Why a program has no token (RFC 8628 section 3.5)."""

    AUTHORIZATION_PENDING = "authorization_pending"
    ACCESS_DENIED = "access_denied"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a word


class Device(Stored, frozen=True, kw_only=True):
    """A program that wants a token. `id` is what is kept of its code."""

    id: Hidden[bytes]
    name: Annotated[str, Meta(max_length=MAX_NAME, description="The name that the program gave. It is not verified.")]
    client_ip: Annotated[str, Meta(description="The address of the program.")]
    created_at: StoredTime
    expires_at: StoredTime


class DeviceCodes(Struct, frozen=True):
    """What a program is given: the code that it keeps, and the one that it shows."""

    device_code: str
    user_code: str


class NoTokenError(Exception):
    """A program gets no token; `why` is the error code."""

    def __init__(self, why: PollError, message: str = "") -> None:
        super().__init__(message)
        self.why = why


class TooManyDevicesError(Exception):
    """`MAX_DEVICES` wait already."""


class Devices:
    """The programs that wait for a token. Every method raises `DatabaseUnavailableError`."""

    def __init__(self, database: Database, identities: Identities, *, now: Now) -> None:
        self._database = database
        self._devices = database.device_codes
        self._identities = identities
        self._now = now

    async def begin(self, name: str, client_ip: str, *, at_desk: bool = False) -> DeviceCodes:
        """Add a waiting program; `at_desk` is Claude Code, below a provider.

        Raises:
            TooManyDevicesError: Too many wait.
        """
        codes = DeviceCodes(new_token(), "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)))
        now = self._now()
        document = {
            "_id": digest(codes.device_code),
            "schema_version": 1,
            "user_code": digest(codes.user_code),
            "name": readable(name, MAX_NAME),
            "client_ip": client_ip,
            "at_desk": at_desk,
            "state": DeviceState.PENDING.value,
            "created_at": now,
            "expires_at": now + timedelta(seconds=DEVICE_SECONDS),
        }
        async with self._database.within(ANSWER_SECONDS):
            if await self._devices.estimated_document_count() >= MAX_DEVICES:
                raise TooManyDevicesError
            await self._devices.insert_one(document)
        return DeviceCodes(codes.device_code, f"{codes.user_code[:4]}-{codes.user_code[4:]}")

    async def look_up(self, user_code: str) -> Device:
        """Say which program shows a user code, written in any case and with any hyphens and spaces.

        Raises:
            UnknownIdentityError: None that still waits.
        """
        async with self._database.within(ANSWER_SECONDS):
            found = await self._devices.find_one(self._waiting(user_code))
        if found is None:
            raise UnknownIdentityError(NO_CODE)
        return Device.of(found)

    async def answer(self, user_code: str, *, allow: bool, author: Author) -> None:
        """Allow or deny a program a token of the author, once.

        Raises:
            UnknownIdentityError: No program that still waits shows this code.
        """
        changes: dict[str, Any] = {"state": DeviceState.DENIED.value}
        if allow and author.user is not None:
            changes = {
                "state": DeviceState.ALLOWED.value,
                "user_id": author.user.id,
                "token_id": author.token_id,
                "answered_from": author.client_ip,
                "outlived_by": author.expires_at,
            }
        async with self._database.within(ANSWER_SECONDS):
            found = await self._devices.update_one(self._waiting(user_code), {"$set": changes})
        if not found.matched_count:
            raise UnknownIdentityError(NO_CODE)

    async def fetch(self, device_code: str) -> tuple[Token, str]:
        """Create the token of an allowed program, once. Return its metadata and the token.

        Raises:
            NoTokenError: It gets none, or not yet.
        """
        key, now = {"_id": digest(device_code)}, self._now()
        async with self._database.within(ANSWER_SECONDS):
            found = await self._devices.find_one(key)
        if found is None or has_ended(found["expires_at"], now):
            raise NoTokenError(PollError.EXPIRED_TOKEN)
        if found["state"] == DeviceState.PENDING:
            raise NoTokenError(PollError.AUTHORIZATION_PENDING)
        try:
            return await self._make_token(found, now)
        except (InvalidTokenError, IdentityError) as error:
            async with self._database.within(ANSWER_SECONDS):
                await self._devices.delete_one(key)
            raise NoTokenError(PollError.ACCESS_DENIED, str(error)) from error

    async def _make_token(self, found: Mapping[str, Any], now: datetime) -> tuple[Token, str]:
        if found["state"] != DeviceState.ALLOWED:
            raise IdentityError
        user_id: UUID = found["user_id"]
        expires_at, latest = now + timedelta(days=TOKEN_DAYS), found["outlived_by"]
        if found["token_id"] is not None:
            await self._identities.owner_of_token(found["token_id"])  # revoked in the meantime, so it is useless
        user = (await self._identities.user_with_id(user_id)).user

        async def take(session: Session) -> None:
            """Remove the code with the creation: of several requests one gets a token, and after a failure the next one."""
            if not (await self._devices.delete_one({"_id": found["_id"]}, session=session)).deleted_count:
                raise IdentityError

        return await self._identities.create_token(
            str(user_id),
            name=found["name"],
            expires_at=min(expires_at, latest or expires_at),
            author=Author(user, found["answered_from"], found["token_id"], latest),
            first=take,
            by_device=True,
            at_desk=found["at_desk"],
        )

    def _waiting(self, user_code: str) -> dict[str, Any]:
        letters = "".join(character for character in user_code.upper() if character in _ALPHABET)
        return {"user_code": digest(letters), "state": DeviceState.PENDING.value, "expires_at": {"$gt": self._now()}}
