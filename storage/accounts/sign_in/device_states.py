"""What programs that wait for a token are, and what may become of them. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


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


class Device(Struct, frozen=True, kw_only=True):
    """A program that waits for a token: its name, its address, and until when it waits."""

    name: str
    client_ip: str
    created_at: datetime
    expires_at: datetime


class DeviceCodes(Struct, frozen=True):
    """What a program is given: the code that it keeps, and the one that it shows."""

    device_code: str
    user_code: str
