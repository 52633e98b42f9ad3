"""Signs deliveries with the secret of a webhook. Pure.

Source: the specification of Standard Webhooks, version 1.0.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from typing import Final

SECRET_BYTES: Final = 32
"""Of a secret; the specification wants 24 to 64."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix


def format_secret(secret: bytes) -> str:
    """Write a secret as receivers get it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def signed_headers(secret: str, event_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """The headers by which a receiver knows who sent a body, and when, in seconds since 1970."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b"%s.%d.%s" % (event_id.encode(), timestamp, body)
    signature = b64encode(hmac.digest(key, signed, "sha256")).decode()
    return [
        ("webhook-id", event_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", f"v1,{signature}"),
    ]
