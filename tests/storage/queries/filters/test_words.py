from hypothesis import given
from hypothesis import strategies as st

from storage.queries.filters.words import MAX_VALUES, MAX_WORDS, Word, read_words
from tests.cases import for_each


def read(q):
    problems = []
    return read_words(q, problems), [tuple(problem) for problem in problems]


@for_each(
    ("q", "words"),
    [
        ("", []),
        ("model:a", [Word("model", ("a",))]),
        ("model:a,b", [Word("model", ("a", "b"))]),
        ('model:"a,b",c', [Word("model", ("a,b", "c"))]),
        ("model:a,a", [Word("model", ("a",))]),
        ("-Model:a", [Word("model", ("a",), negated=True)]),
        ("word", [Word("", ("word",))]),
        ("-word", [Word("", ("word",), negated=True)]),
        ("-", [Word("", ("-",))]),
        ("a,b", [Word("", ("a,b",))]),
        ('"two words"', [Word("", ("two words",))]),
        ('-"two words"', [Word("", ("two words",), negated=True)]),
        ('"-word"', [Word("", ("-word",))]),
        ('a"b c"d', [Word("", ("ab cd",))]),
        ('"a""b"', [Word("", ("ab",))]),
    ],
)
def test_words_are_split_at_what_is_outside_of_quotes(q, words):
    assert read(q) == (words, [])


@for_each(
    ("q", "problem"),
    [
        ("model:a,,b", ("model", "Query element model:a,,b has an empty value beside a ','")),
        ("model:a,", ("model", "Query element model:a, has an empty value beside a ','")),
        ("-:a", ("q", "Query element -:a cannot start or end with ':'")),
        ("a:b:c", ("q", "Query element a:b:c can only contain 1 ':'; quote its value")),
        ("x " * (MAX_WORDS + 1), ("q", f"A search has at most {MAX_WORDS} words, found {MAX_WORDS + 1}")),
        (
            "model:" + ",".join(map(str, range(MAX_VALUES + 1))),
            ("model", f'Query param "model" has more than {MAX_VALUES} values'),
        ),
    ],
)
def test_what_is_no_word_is_named(q, problem):
    assert read(q) == ([], [problem])


plain = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(plain, min_size=1, max_size=5, unique=True), st.booleans())
def test_quoted_values_are_read_as_they_were_written(values, negated):
    q = "-" * negated + "key:" + ",".join(f'"{value}"' for value in values)
    assert read(q) == ([Word("key", tuple(values), negated)], [])
