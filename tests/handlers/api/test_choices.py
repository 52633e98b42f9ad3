"""Parameters with a fixed set of words, or a time."""

from datetime import UTC, datetime
from enum import StrEnum, auto

from handlers.api.choices import choice, time


class Colour(StrEnum):
    RED = auto()
    GREEN = auto()


def test_what_is_not_given_is_nothing_and_no_problem():
    problems = []
    assert choice(Colour, "colour", {}, problems) is None
    assert choice(Colour, "colour", {"colour": ""}, problems) is None
    assert time("from", {"from": ""}, problems) is None
    assert problems == []


def test_a_word_and_a_time_are_read():
    problems = []
    assert choice(Colour, "colour", {"colour": "green"}, problems) is Colour.GREEN
    assert time("from", {"from": "2026-01-31T12:00:00+01:00"}, problems) == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert problems == []


def test_what_cannot_be_read_is_a_problem_that_says_what_is_allowed():
    problems = []
    assert choice(Colour, "colour", {"colour": "GREEN"}, problems) is None
    assert time("from", {"from": "yesterday"}, problems) is None
    assert time("to", {"to": "9999-12-31T23:59:59-14:00"}, problems) is None
    rule = 'must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)'
    assert problems == [("colour", "must be one of red, green"), ("from", rule), ("to", rule)]
