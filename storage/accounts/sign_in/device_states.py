"""What programs that wait for a token are, and what may become of them. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from storage.accounts.users import MAX_NAME
from storage.mongo.documents.stored import Hidden, Stored, StoredTime


class State(StrEnum):
    """What became of a program's request."""

    PENDING = "pending"
    ALLOWED = "allowed"
    DENIED = "denied"


class PollError(StrEnum):
    """Why a program has no token (RFC 8628 section 3.5)."""

    AUTHORIZATION_PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
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
