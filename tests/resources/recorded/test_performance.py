"""How a provider's waits are summed up."""

from resources.recorded.performance import Wait
from tests.cases import for_each


@for_each(
    ("waits", "expected"),
    [
        ([], None),
        ([7.04], Wait(7.0, 7.0)),
        ([100, 1], Wait(1, 100)),
        (range(1, 21), Wait(10, 19)),
        (range(1, 101), Wait(50, 95)),
    ],
)
def test_half_of_the_calls_and_95_of_a_hundred_waited_no_longer(waits, expected):
    assert Wait.of(waits) == expected
