"""Keys of providers as the database has them: sealed with AES-256-GCM, and bound to the provider that they belong to. Pure.

What is sealed: a byte for the version, the id of the encryption key (4 bytes), the nonce (12 bytes, NIST SP 800-38D
section 8.2.2), the text in UTF-8 with its tag. The version, the id and the provider are authenticated with it: a sealed key
that was moved to another provider does not open there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
ID_BYTES = 4
NONCE_BYTES = 12

HOW_TO_SET = (
    "set AIBRIDGE_ENCRYPTION_KEYS to what `openssl rand -base64 32` prints, on every server and for this command"
)


class SealError(ValueError):
    """A key can be neither sealed nor opened. The text says what to do, and has nothing of the key."""


class NoEncryptionKeyError(SealError):
    """There is no encryption key."""

    def __init__(self) -> None:
        super().__init__(f"keys cannot be stored without encryption-keys: {HOW_TO_SET}")


class Sealer:
    """Seals with the first of some encryption keys, and opens what any of them sealed.

    Args:
        keys: Each of 32 bytes; without any, nothing can be sealed or opened.
        random: Returns this many bytes that cannot be guessed.
    """

    def __init__(self, keys: Sequence[bytes] = (), random: Callable[[int], bytes] = os.urandom) -> None:
        self._ciphers = {_id_of(key): _cipher(key) for key in reversed(keys)}
        self._first = _id_of(keys[0]) if keys else None
        self._random = random

    def __repr__(self) -> str:
        return f"Sealer({len(self._ciphers)})"

    def require(self) -> None:
        """Check that there is an encryption key.

        Raises:
            NoEncryptionKeyError: there is not.
        """
        if self._first is None:
            raise NoEncryptionKeyError

    def seal(self, text: str, owner: UUID) -> bytes:
        """Seal a key of the provider with that id.

        Raises:
            NoEncryptionKeyError: there is nothing to seal with.
        """
        if self._first is None:
            raise NoEncryptionKeyError
        nonce, head = self._random(NONCE_BYTES), VERSION + self._first
        return head + nonce + self._ciphers[self._first].encrypt(nonce, text.encode(), head + owner.bytes)

    def open(self, sealed: bytes, owner: UUID) -> str:
        """Return what was sealed for the provider with that id.

        Raises:
            SealError: none of the encryption keys sealed it, or it was sealed for another provider, or changed.
        """
        end = len(VERSION) + ID_BYTES
        head, nonce, rest = sealed[:end], sealed[end : end + NONCE_BYTES], sealed[end + NONCE_BYTES :]
        cipher = self._ciphers.get(head[len(VERSION) :])
        if head[: len(VERSION)] != VERSION or cipher is None or len(nonce) < NONCE_BYTES:
            raise SealError("sealed with an encryption key that this server does not have: add it to encryption-keys")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - loaded by then

        try:
            return cipher.decrypt(nonce, rest, head + owner.bytes).decode()
        except (InvalidTag, ValueError) as error:
            raise SealError("the sealed key was changed, or moved from another provider: give the key again") from error

    def seal_named(self, name: str, text: str, owner: UUID) -> bytes:
        """Seal something that opens under this name only: a key never opens as a password, or the other way round.

        Raises:
            NoEncryptionKeyError: there is nothing to seal with.
        """
        return self.seal(f"{name}\n{text}", owner)

    def open_named(self, name: str, sealed: bytes, owner: UUID) -> str:
        """Return what was sealed under this name.

        Raises:
            SealError: as `open`, or it was sealed under another name.
        """
        found, _, text = self.open(sealed, owner).partition("\n")
        if found != name:
            raise SealError(f"what is sealed as {name} is something else: give it again")
        return text

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed with the first encryption key."""
        return self._first is not None and sealed.startswith(VERSION + self._first)


def _cipher(key: bytes) -> AESGCM:
    # The library takes 6 MB, which a server that seals nothing can do without.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(key)


def _id_of(key: bytes) -> bytes:
    return sha256(b"aibridge encryption key" + key).digest()[:ID_BYTES]
