import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.secrets.own_patterns import MAX_LENGTH, STEP, InvalidPatternError, OwnPattern, own_pattern
from tests.cases import for_each
from tests.processor import TRIES, seconds_of

UNREADABLE = (
    r"cannot be read from {!r} on; allowed are characters, sets such as [A-Z0-9], ., \d, \w, \s and \b, the repeats"
    r" {{8}}, {{8,40}} and ?, and signs behind a backslash"
)


@for_each(
    ("pattern", "text", "left"),
    [
        (r"\bEMP-\d{5}\b", "EMP-12345, XEMP-12345 and EMP-123456", "#, XEMP-12345 and EMP-123456"),
        (r"[A-Z]{2}\d{2,4}", "AB1 AB12 AB12345", "AB1 # #5"),
        (r"colou?r", "color colour colouur", "# # colouur"),
        (r"a.c", "abc a\nc ac", "# # ac"),
        (r"\[x\]\{2\}", "[x]{2} [x]", "# [x]"),
        (r"[^a-z]{2}", "abAB12ab", "ab##ab"),
        (r"[&&]x", "&x x", "# x"),
        (r"[\]\-]", "a]b-c", "a#b#c"),
        (r"Ä{2}\s", "ÄÄ Ä ", "#Ä "),
    ],
)
def test_what_a_pattern_means_is_replaced(pattern, text, left):
    assert own_pattern(pattern).replace(text, "#") == left


@for_each(
    ("pattern", "wrong"),
    [
        ("", "must have 1 to 200 characters"),
        ("a" * 201, "must have 1 to 200 characters"),
        *(
            (f"a{rest}", UNREADABLE.format(rest))
            for rest in ("*", "+", "(a)", "|b", "^a", "{1,}", "[a", "[]", "[[]", r"\x41")
        ),
        ("a??", UNREADABLE.format("?")),
        ("a{3,2}", "has a repeat that can never be: a{3,2}"),
        ("a{0}", "has a repeat that can never be: a{0}"),
        ("a{129}", "must match at most 128 characters in all"),
        (r"\b", "must not match an empty text"),
        ("a?", "must not match an empty text"),
        (r"\b{2}a", UNREADABLE.format("{2}a")),
        ("[z-a]", "has a set that cannot be read: bad character range z-a"),
    ],
)
def test_what_is_no_pattern_is_said_with_what_is_wrong(pattern, wrong):
    with pytest.raises(InvalidPatternError, match=f"^{re.escape(wrong)}$"):
        OwnPattern(pattern)


def test_a_match_across_the_end_of_a_step_is_found():
    for before in range(STEP - 6, STEP + 2):
        assert own_pattern("x{4}").replace("." * before + "xxxx..", "#") == "." * before + "#.."


@given(st.text())
def test_any_text_is_a_pattern_or_refused_with_a_reason(text):
    with suppress(InvalidPatternError):
        assert isinstance(OwnPattern(text).replace(text * 3, "#"), str)


@given(st.text("ab", max_size=60), st.integers(1, 3), st.integers(0, 3))
def test_it_replaces_what_a_greedy_expression_does(text, low, more):
    mine = OwnPattern(f"a{{{low},{low + more}}}b").replace(text, "#")
    assert mine == re.sub(f"(?>a{{{low},{low + more}}})b", "#", text)


def test_the_time_of_a_hostile_text_is_that_of_its_length():
    hostile = own_pattern(r"[a-z]{1,60}[a-z]{1,60}@x")

    def seconds(length):
        return seconds_of(lambda: hostile.replace("a" * length, "#"))

    assert any(seconds(20 * STEP) < 60 * max(seconds(2 * STEP), 0.001) for _ in range(TRIES))
    assert MAX_LENGTH < STEP
