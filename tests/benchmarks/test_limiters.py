from hypothesis import given
from hypothesis import strategies as st

from benchmarks.limiters import LIMIT, LIMITERS, WINDOW, table, worst_window
from tests.cases import for_each
from tests.docs.pages import page

times = st.lists(st.integers(0, 5 * WINDOW), max_size=50).map(sorted)


def test_the_table_of_the_docs_is_what_the_script_prints():
    assert table() in page("docs/limits.md")


@given(times)
def test_the_worst_window_is_the_worst_of_all_that_begin_with_an_admission(admissions):
    counts = [sum(first <= now < first + WINDOW for now in admissions) for first in admissions]
    assert worst_window(admissions) == max(counts, default=0)


@given(times)
def test_the_exact_window_never_admits_more_than_the_limit_and_all_that_fits(arrivals):
    make, _ = LIMITERS["exact window (the bridge)"]
    admit = make()
    admitted = [now for now in arrivals for _ in range(10) if admit(now)]
    assert worst_window(admitted) <= LIMIT
    assert len(admitted) >= min(LIMIT, 10 * len(arrivals))


@for_each("name", LIMITERS)
def test_every_limiter_admits_a_request_after_a_quiet_time(name):
    make, _ = LIMITERS[name]
    admit = make()
    for _ in range(LIMIT):
        admit(WINDOW)
    assert admit(4 * WINDOW)
