import re

from hypothesis import example, given
from hypothesis import strategies as st

from limits.policies.compiled import Patterns
from limits.policies.policy import ModelPattern, glob

TEXT = st.text("ab-?[]!", max_size=8)
GLOB = st.text("ab-*?[]!", min_size=1, max_size=8)


def means(pattern, text):
    """The same by a regular expression, which takes too long on hostile text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


@given(GLOB, TEXT)
@example("a*a", "a")
@example("ab*ba", "aba")
@example("*a*b*", "ba")
@example("**", "")
def test_a_star_stands_for_any_text(pattern, text):
    assert (Patterns([pattern]).find("p", text) is not None) is means(pattern, text)


@given(GLOB, GLOB, TEXT, TEXT)
@example("a*", "a*b", "", "")
@example("*-*", "a*a", "-", "")
def test_a_pattern_that_means_the_text_of_another_means_all_that_it_means(wider, other, one, more):
    texts = [other.replace("*", one, 1).replace("*", more), other.replace("*", "x")]
    assert bool(glob(wider).match(other)) is means(wider, texts[1])
    assert not glob(wider).match(other) or means(wider, texts[0])


@given(st.lists(GLOB | st.builds(ModelPattern, GLOB, GLOB), max_size=4), TEXT, TEXT)
def test_a_list_finds_the_first_pattern_that_means_a_model(patterns, provider, model):
    def is_meant(one):
        if isinstance(one, str):
            return means(one, model)
        return means(one.provider, provider) and means(one.model, model)

    assert Patterns(patterns).find(provider, model) == next(filter(is_meant, patterns), None)


def test_case_makes_no_difference():
    assert Patterns(["GPT-*"]).find("openai", "gpt-5") == "GPT-*"


def test_hostile_text_takes_little_time():
    assert Patterns(["*a" * 100]).find("p", "a" * 99 + "b" * 1_000_000) is None


def test_people_are_told_some_of_the_patterns():
    assert str(Patterns(["claude-*", ModelPattern("openai", "gpt-*")])) == "claude-*, gpt-* of openai"
    assert str(Patterns([f"m{number}" for number in range(12)])) == "m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 2 more"
