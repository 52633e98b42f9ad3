"""Makes ids for invented documents. Pure: the same for the same state of the generator."""

from __future__ import annotations

from random import Random
from uuid import UUID

from intercept.ids import EXAMPLE_BYTES


def example_id(random: Random) -> UUID:
    """Make an id of something invented."""
    made = bytearray(EXAMPLE_BYTES + random.randbytes(10))
    made[6] = made[6] & 0x0F | 0x80  # version 8, custom (RFC 9562, section 5.8), which no other id of the bridge has
    made[8] = made[8] & 0x3F | 0x80
    return UUID(bytes=bytes(made))
