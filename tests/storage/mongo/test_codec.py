from decimal import Decimal, DecimalException

from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from storage.mongo.codec import EXACT, read_decimal, write_decimal

FINITE = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent, EXACT),
    st.integers(-(10**34) + 1, 10**34 - 1),
    st.integers(-6176, 6111),
)


@given(st.integers(-(10**34) + 1, 10**34 - 1))
def test_a_cost_is_read_as_it_was_written(number):
    cost = EXACT.scaleb(Decimal(number), -12)
    assert read_decimal(Decimal128(cost)) == cost


@given(FINITE | st.decimals())
def test_a_decimal_is_written_as_the_driver_writes_it(value):
    assert _or_error(write_decimal, value) == _or_error(Decimal128, value)


def _or_error(write, value):
    try:
        return write(value).bid
    except (DecimalException, ValueError) as error:
        return type(error)
