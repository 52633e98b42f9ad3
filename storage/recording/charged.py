"""The amounts that limits count for an ended call, in 33 bytes of its document. Pure.

They are read from an index, millions of them in seconds.
"""

from __future__ import annotations

from decimal import Decimal
from struct import Struct
from typing import Final

from intercept.records import CredentialKind, Ending, Interception
from limits.charges import MAX_AMOUNT, amounts_of
from storage.costs.prices import Cost
from storage.mongo.codec import write_ms

FORMAT: Final = "qqqq?"
"""When the call ended, in milliseconds since 1970; its tokens without those read from a cache, and with them; its cost in
micro-dollars; and whether its user paid the provider. See `limits.charges`."""

_STRUCT: Final = Struct(f"<{FORMAT}")


def charged(interception: Interception, ending: Ending, cost: Cost | None) -> bytes:
    """Pack what a call is charged."""
    usages = ending.reading.token_usages
    amounts = amounts_of(usages, cost and cost.usd, cache_reads=False)
    reads = sum([usage.cache_read_input_tokens or 0 for usage in usages])
    pays = interception.credential_kind is CredentialKind.BYOK
    with_reads = min(amounts.tokens + reads, MAX_AMOUNT)
    return _STRUCT.pack(write_ms(ending.ended_at), amounts.tokens, with_reads, amounts.micro_dollars, pays)


def charged_again(packed: bytes, usd: Decimal) -> bytes:
    """The same of a call that costs something else now."""
    ended_ms, tokens, with_reads, _, pays = _STRUCT.unpack(packed)
    return _STRUCT.pack(ended_ms, tokens, with_reads, amounts_of((), usd, cache_reads=False).micro_dollars, pays)
