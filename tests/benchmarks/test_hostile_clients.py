import pytest

from benchmarks.hostile_clients import ATTACKS, SERVERS, measure

CLIENTS = 20
NOISE_MIB = 4.0
SECONDS = 0.5


@pytest.mark.parametrize(
    "attack", ["pipelines requests and reads no answer", "sends half a head of many small headers"]
)
def test_hostile_clients_take_at_most_twice_the_memory_that_they_take_of_tornado(attack):
    ours, theirs = (measure(kind, ATTACKS[attack], CLIENTS, SECONDS).memory for kind in SERVERS)
    assert ours <= 2 * max(theirs, 0) + NOISE_MIB
