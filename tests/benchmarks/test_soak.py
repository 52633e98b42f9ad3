from benchmarks.soak import Sample, faults
from tests.cases import for_each

IDLE = Sample(minute=0, megabytes=70, files=20, slots=0, in_flight=0, queued=0, spooled=0)


def samples(growth, minutes=20, **changes):
    """Looks every minute of a load, with memory that grows by so much."""
    return [IDLE._replace(minute=minute, megabytes=70 + growth * minute, **changes) for minute in range(minutes + 1)]


def test_a_bridge_that_gives_everything_back_has_no_faults():
    assert faults(samples(0.9), before=IDLE, after=IDLE._replace(megabytes=90, files=23), failed=0) == []


def test_memory_may_grow_in_the_first_half_only():
    rising = [one._replace(megabytes=min(one.megabytes, 80)) for one in samples(2)]
    assert faults(rising, before=IDLE, after=IDLE, failed=0) == []
    assert faults(samples(1.5), before=IDLE, after=IDLE, failed=0) == ["memory grows by 1.50 MB a minute"]


def test_memory_is_not_judged_by_a_short_run():
    assert faults(samples(5, minutes=4), before=IDLE, after=IDLE, failed=0) == []


@for_each(
    ("after", "fault"),
    [
        ({"slots": 2}, "2 slots were not given back"),
        ({"in_flight": 1}, "1 calls never ended"),
        ({"queued": 1, "spooled": 2}, "3 records still wait"),
        ({"files": 24}, "4 files or connections were not closed"),
    ],
)
def test_what_is_not_given_back_is_a_fault(after, fault):
    assert faults(samples(0), before=IDLE, after=IDLE._replace(**after), failed=0) == [fault]


def test_a_long_queue_and_failed_calls_are_faults():
    found = faults(samples(0, queued=1001), before=IDLE, after=IDLE, failed=3)
    assert found == ["1001 records waited in memory", "3 calls failed"]
