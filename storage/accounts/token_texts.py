"""Tokens as text, and the memory of those that were verified. Nothing here keeps a token itself, only its SHA-256.

A token is `<10 characters>-<22 characters>`, each a letter or a digit: the first part names it and may be shown, the
second is the secret (130 bits, so that a plain hash protects it as well as a slow one would).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from storage.accounts.users import Identity, User

FRESH_SECONDS = 2.0
"""How long a verified token is valid without reading the database. A revoked one works no longer than that, or while the
database is unavailable `STALE_SECONDS`; so long it is until a process knows of changes of its user."""

STALE_SECONDS = 3600.0
"""How long a verified token is believed while the database is unavailable."""

REMEMBERED_TOKENS = 10_000
"""How many verified tokens are remembered; the least recently used are forgotten first."""

_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH, _SECRET_LENGTH = 10, 22
_TOKEN = re.compile(rf"([a-zA-Z0-9]{{{_ID_LENGTH}}})-([a-zA-Z0-9]{{{_SECRET_LENGTH}}})")
_NO_DIGEST = bytes(32)


def new_token() -> str:
    """Create a token that cannot be guessed."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH + _SECRET_LENGTH))
    return f"{text[:_ID_LENGTH]}-{text[_ID_LENGTH:]}"


def derived_token(kind: str, token_id: str, *secret: str) -> str:
    """A token of this id that is always the same for the same secrets, and cannot be guessed without them."""
    number = int.from_bytes(digest("\0".join((kind, token_id, *secret))))
    letters = []
    for _ in range(_SECRET_LENGTH):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return f"{token_id}-{''.join(letters)}"


def split_token(token: str) -> tuple[str, str] | None:
    """Split a token into its public id and its secret; None if it does not look like a token."""
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def digest(secret: str) -> bytes:
    """Return the SHA-256 of a token, or of a part of it: 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret(secret: str, known: bytes | None) -> bool:
    """Compare a secret with its stored digest in constant time; None, for an unknown one, never matches."""
    return hmac.compare_digest(digest(secret), known or _NO_DIGEST)


class VerifiedTokens:
    """Remembers whose token it was. Times are given by the caller: wall time for expiry, monotonic seconds for age."""

    def __init__(self) -> None:
        self._memories: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    def add(self, token: bytes, identity: Identity, *, at: float) -> None:
        """Remember that the token with this digest was verified at the monotonic time `at`."""
        self._memories[token] = identity, at
        self._memories.move_to_end(token)
        if len(self._memories) > REMEMBERED_TOKENS:
            self._memories.popitem(last=False)

    def get(self, token: bytes, *, now: datetime, at: float, within: float) -> Identity | None:
        """Return whose token it is that was verified less than `within` seconds ago and has not expired."""
        identity, verified_at = self._memories.get(token, (None, 0.0))
        if identity is None or at - verified_at >= within:
            return None
        if has_ended(identity.expires_at, now) or has_ended(identity.session_expires_at, now):
            return None
        self._memories.move_to_end(token)
        return identity

    def forget(self, token: bytes) -> None:
        """Forget one token, if it is known."""
        self._memories.pop(token, None)

    def forget_of(self, meant: Callable[[User], bool]) -> None:
        """Forget all tokens of some users."""
        for token in [token for token, (identity, _) in self._memories.items() if meant(identity.user)]:
            del self._memories[token]


def has_ended(expires_at: datetime | None, now: datetime) -> bool:
    """Say whether a moment, None for never, has come."""
    return expires_at is not None and expires_at <= now
