import pytest

from benchmarks.hostile_clients import ATTACKS, SERVERS, measure

SENT_BYTES = 60_000
"""More than our server takes of a client that reads no response; Tornado answers all of it."""
NOISE_MIB = 4.0
SECONDS = 0.2


@pytest.mark.parametrize(
    ("attack", "clients"),  # Tornado answers so many requests that one client is enough
    [("pipelines requests and reads no answer", 1), ("sends half a head of many small headers", 8)],
)
def test_hostile_clients_take_at_most_twice_the_memory_that_they_take_of_tornado(attack, clients):
    ours, theirs = (measure(kind, ATTACKS[attack][:SENT_BYTES], clients, SECONDS).memory for kind in SERVERS)
    assert ours <= 2 * max(theirs, 0) + NOISE_MIB
