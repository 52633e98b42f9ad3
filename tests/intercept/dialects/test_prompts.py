import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.prompts import MAX_PROMPT, MAX_WRAPPERS, read_prompt
from intercept.records import UserPrompt
from tests.cases import for_each
from tests.processor import is_within, seconds_of

REMINDER = "<system-reminder>\nThe date has changed.\n</system-reminder>"
INTERJECTED = """<system-reminder>
The user sent a new message while you were working:
use tabs

IMPORTANT: After completing your current task, you MUST address the message above.
</system-reminder>"""


@for_each(
    ("texts", "prompt"),
    [
        (["fix it"], "fix it"),
        (["", "first", "fix it", ""], "fix it"),
        ([" fix it\n"], " fix it\n"),
        ([f"{REMINDER}\nfix it"], "fix it"),
        ([f"{REMINDER}{REMINDER}\n\nfix it\n\n{REMINDER}"], "fix it"),
        (["fix it", REMINDER], "fix it"),
        ([REMINDER, "fix it"], "fix it"),
        (["<current_datetime>2026-11-26T12:00:00Z</current_datetime>\n\nfix it"], "fix it"),
        ([INTERJECTED], "use tabs"),
        (["The user sent a new message while you were working:\nuse tabs"], "use tabs"),
        (
            [f"why <system-reminder> in the middle of {REMINDER} it?"],
            f"why <system-reminder> in the middle of {REMINDER} it?",
        ),
        (["<system-reminder> without an end"], "<system-reminder> without an end"),
        (["<session> is a word of mine"], "<session> is a word of mine"),
        (["please Generate a concise, single-line task title"], "please Generate a concise, single-line task title"),
    ],
)
def test_a_prompt_is_what_its_user_wrote(texts, prompt):
    assert read_prompt(texts) == UserPrompt(prompt=prompt)


@for_each(
    "text",
    [
        REMINDER,
        "[SYSTEM NOTIFICATION - NOT USER INPUT]\nA task has ended.",
        "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.",
        "<session>\nHello\n</session>\nWrite the title of this session.",
        "<bash-stdout>main.py</bash-stdout><bash-stderr></bash-stderr>",
        "<local-command-stdout>done</local-command-stdout>",
        f"{REMINDER}\n[SYSTEM NOTIFICATION - NOT USER INPUT]",
        "Generate a concise, single-line task title for this conversation.",
        "You are performing a CONTEXT CHECKPOINT COMPACTION. Write a summary.",
        "Generate a title for this conversation:\n",
        "Managed memory directory: `/home/ada/.qwen/memory`\n\nScan the recent conversation",
    ],
)
def test_what_a_client_wrote_by_itself_is_recorded_as_synthetic(text):
    assert read_prompt([text]) == UserPrompt(prompt=text, synthetic=True)
    assert read_prompt(["fix it", text]) == UserPrompt(prompt="fix it")


def test_no_text_makes_no_prompt():
    assert read_prompt([]) is None
    assert read_prompt(["", ""]) is None


def test_a_prompt_is_cut_at_its_cap_and_between_characters():
    assert read_prompt(["🚀" * MAX_PROMPT]) == UserPrompt(prompt="🚀" * MAX_PROMPT)
    assert read_prompt(["🚀" * MAX_PROMPT + "!"]) == UserPrompt(prompt="🚀" * MAX_PROMPT, truncated=True)


@pytest.mark.timed
@pytest.mark.parametrize("piece", ["<system-reminder>", "</system-reminder>", REMINDER, "<session>", INTERJECTED])
def test_the_time_for_a_hostile_text_grows_with_its_length_alone(piece):
    text = piece * (2_000_000 // len(piece))
    assert is_within(0.1, lambda: seconds_of(lambda: read_prompt([text])))  # a quadratic one takes minutes


pieces = st.lists(st.sampled_from([REMINDER, "<system-reminder>", "</system-reminder>", "a", " ", "\n", INTERJECTED]))


@given(st.lists(pieces.map("".join), max_size=4))
def test_every_text_makes_a_prompt_that_is_part_of_it(texts):
    prompt = read_prompt(texts)
    assert (prompt is None) == (not any(texts))
    assert prompt is None or any(prompt.prompt in text for text in texts)


@given(st.text(st.characters(codec="utf-8", exclude_characters="<["), min_size=1), st.integers(0, MAX_WRAPPERS))
def test_wrappers_leave_the_words_inside_as_they_are(words, wrappers):
    if read_prompt([words]) == UserPrompt(prompt=words) and words.strip() and "while you were working" not in words:
        expected = words if wrappers == 0 else words.strip()
        assert read_prompt([REMINDER * wrappers + words]) == UserPrompt(prompt=expected)
