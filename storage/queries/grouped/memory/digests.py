"""Digests for keys of caches: a key has the same size however many conditions or versions it is about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

BYTES: Final = 16
"""The length of a digest."""


def digest(data: bytes) -> bytes:
    """Return the digest of bytes."""
    return blake2b(data, digest_size=BYTES).digest()


def digest_of(values: Mapping[str, Any]) -> bytes:
    """Return the digest of the conditions of a plan; the order of the fields makes no difference."""
    return digest(repr(sorted(values.items())).encode())
