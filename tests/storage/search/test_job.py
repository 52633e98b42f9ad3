"""The job that builds the search index keeps the promises of the other exactly-once jobs: their tests are run with it."""

import pytest

from tests.storage.aggregation.tasks import ALL
from tests.storage.aggregation.test_job import (
    test_a_backlog_is_added_to_its_end_without_a_pause,
    test_a_batch_that_is_too_slow_becomes_smaller_and_grows_again_slowly,
    test_a_process_that_is_killed_adds_nothing_twice,
    test_a_transaction_is_tried_again_where_mongodb_asks_for_it,
    test_of_several_at_the_same_time_one_adds,
    test_where_nothing_is_to_be_added_nothing_is_written,
    test_wherever_a_turn_stops_the_next_one_completes_it,
    test_who_comes_too_late_for_a_turn_leaves_it_to_the_next,
)

__all__ = [
    "test_a_backlog_is_added_to_its_end_without_a_pause",
    "test_a_batch_that_is_too_slow_becomes_smaller_and_grows_again_slowly",
    "test_a_process_that_is_killed_adds_nothing_twice",
    "test_a_transaction_is_tried_again_where_mongodb_asks_for_it",
    "test_of_several_at_the_same_time_one_adds",
    "test_where_nothing_is_to_be_added_nothing_is_written",
    "test_wherever_a_turn_stops_the_next_one_completes_it",
    "test_who_comes_too_late_for_a_turn_leaves_it_to_the_next",
]


@pytest.fixture
def name():
    return "indexing"


@pytest.fixture
def task(name):
    return ALL[name]
