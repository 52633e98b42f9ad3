"""Values as BSON holds them, where the driver is too slow. Figures: CPython 3.11 on the machine of `make bench`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from uuid import UUID

from bson.binary import UUID_SUBTYPE, Binary
from bson.decimal128 import Decimal128

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EXACT = Context(prec=34)
"""Arithmetic that is exact in as many digits as a `Decimal128` holds."""

# The lower half has the last bits of the coefficient. The upper one has the first ones, the exponent and the sign.
_LOW_BITS, _HIGH_BITS, _PLAIN_BITS, _SIGN_BIT, _EXPONENT_BIAS = 64, 49, 62, 63, 6_176
_LOW_MASK, _HIGH_MASK = (1 << _LOW_BITS) - 1, (1 << _HIGH_BITS) - 1
_EXPONENTS = range(-_EXPONENT_BIAS, 6_112)
_MILLISECOND = timedelta(milliseconds=1)


def read_ms(number: int) -> datetime:
    """Return the time so many milliseconds after 1970 began."""
    return EPOCH + number * _MILLISECOND


def write_ms(time: datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return (time - EPOCH) // _MILLISECOND


def binary(id_: UUID) -> Binary:
    """Return an id as `with_plain_ids` reads it.

    The driver does the same for each UUID that it encodes, in 1.8 us instead of 0.6.
    """
    return Binary(id_.bytes, UUID_SUBTYPE)


def read_decimal(number: Decimal128) -> Decimal:
    """Return what `to_decimal` does, from the layout that IEEE 754-2008 (3.5.2) calls binary.

    It takes 0.4 us instead of 4.3, and a result of statistics reads up to 100,000: 0.4 s less of about a second.
    """
    high, low = number.__getstate__()
    if high >> _PLAIN_BITS:
        return number.to_decimal()  # negative, or no number
    coefficient = (high & _HIGH_MASK) << _LOW_BITS | low
    return Decimal(coefficient).scaleb((high >> _HIGH_BITS) - _EXPONENT_BIAS, EXACT)


def write_decimal(number: Decimal) -> Decimal128:
    """Return `Decimal128(number)`, in the same layout: 1.3 us instead of 4.6. What is counted of a call has about 30 of them.

    Raises:
        decimal.Inexact: It has more digits than there is room for.
    """
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent not in _EXPONENTS or len(digits) > EXACT.prec:
        return Decimal128(number)  # no number, or perhaps too long
    coefficient = abs(int(number.scaleb(-exponent, EXACT)))
    high = sign << _SIGN_BIT | (exponent + _EXPONENT_BIAS) << _HIGH_BITS | coefficient >> _LOW_BITS
    return Decimal128((high, coefficient & _LOW_MASK))  # type: ignore[arg-type]  # as `from_bid` makes it
