"""What a policy says is kept of texts holds for every text of a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from intercept import restricted_texts
from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.recording import KINDS, Keep, Recording, strictest
from intercept.records import (
    Conversation,
    ModelResponse,
    ModelThought,
    ProviderError,
    Reading,
    ToolUsage,
    Try,
    UserPrompt,
)
from intercept.restricted_texts import MAX_SPLIT, Texts, without_restricted_texts, without_restricted_words
from tests.cases import for_each
from tests.storage.records import ending, interception

MAIL = "ada@example.com"
TEXTS = Texts(b"k" * 32)


def call(**kept):
    tool = ToolUsage(
        provider_response_id="r", provider_tool_call_id="t", tool="Bash", input=f"tool {MAIL}", invocation_error=MAIL
    )
    start = interception(
        user_prompt=UserPrompt(prompt=f"prompt {MAIL}"),
        conversation=Conversation(key=b"1" * 16, continues=b"2" * 16),
        blocks=b"digests",
        recording=Recording(**kept),
    )
    error = ProviderError(type="invalid", message=f"error {MAIL}")
    reading = Reading(
        tool_usages=(tool,),
        model_thoughts=(ModelThought(content=f"thought {MAIL}", source="thinking"),),
        error=error,
        response=ModelResponse(text=f"response {MAIL}"),
    )
    return start, ending(
        error=error, reading=reading, tries=(Try(provider_name="a", error=error), Try(provider_name="b"))
    )


def words(start, end):
    (tool,), (thought,) = end.reading.tool_usages, end.reading.model_thoughts
    assert end.error == end.reading.error == end.tries[0].error
    assert end.tries[1].error is None
    texts = [start.user_prompt.prompt, tool.input, thought.content]
    return [*texts, end.reading.response.text, tool.invocation_error, end.error.message]


def test_each_kind_of_text_is_kept_as_the_policy_says():
    redacted = [f"{kind} [redacted]" for kind in ("prompt", "tool", "thought", "response")]
    assert words(*TEXTS.ended(*call(**dict.fromkeys(KINDS, Keep.REDACTED)))) == [
        *redacted,
        "[redacted]",
        "error [redacted]",
    ]
    assert words(*TEXTS.ended(*call(**dict.fromkeys(KINDS, Keep.NONE)))) == [""] * 6
    assert words(*TEXTS.ended(*call(**dict.fromkeys(KINDS, Keep.FULL)))) == words(*call())
    for number, kind in enumerate(KINDS[:3]):
        kept = words(*TEXTS.ended(*call(**{"responses": Keep.FULL, kind: Keep.NONE})))
        assert kept == [*words(*call())[:number], "", *words(*call())[number + 1 :]]
    assert words(*TEXTS.ended(*call(responses=Keep.NONE))) == [*words(*call())[:3], "", "", ""]


def test_where_nothing_is_said_of_responses_errors_are_kept_and_their_text_is_not():
    said = Recording(), Recording(responses=Keep.REDACTED)
    assert [(one.response_text, one.error_messages) for one in said] == [
        (Keep.NONE, Keep.FULL),
        (Keep.REDACTED, Keep.REDACTED),
    ]
    assert words(*TEXTS.ended(*call(retention=1))) == [*words(*call())[:3], "", *words(*call())[4:]]
    for kept, keeps in (({}, False), ({"responses": Keep.NONE}, False), ({"responses": Keep.HASHED}, True)):
        assert call(**kept)[0].keeps_response is keeps
    assert not interception().keeps_response


def test_equal_texts_have_equal_hashes_which_nobody_can_make_without_the_secret():
    start, end = TEXTS.ended(*call(**dict.fromkeys(KINDS, Keep.HASHED)))
    hashes = words(start, end)
    assert all(text.startswith("hmac-sha256:") and len(text) == 12 + 64 for text in hashes)
    assert len(set(hashes)) == 6
    assert words(*TEXTS.ended(*call(**dict.fromkeys(KINDS, Keep.HASHED)))) == hashes
    assert set(words(*Texts(b"other").ended(*call(**dict.fromkeys(KINDS, Keep.HASHED))))).isdisjoint(hashes)
    assert (
        start.user_prompt.kept is end.reading.tool_usages[0].kept is end.reading.model_thoughts[0].kept is Keep.HASHED
    )
    assert TEXTS.digest("\ud800") != TEXTS.digest("?")


def test_without_a_secret_nothing_is_kept_instead_of_a_hash():
    start, end = Texts().ended(*call(**dict.fromkeys(KINDS, Keep.HASHED)))
    assert words(start, end) == [""] * 6
    assert start.user_prompt.kept is end.reading.tool_usages[0].kept is end.reading.response.kept is Keep.NONE


@pytest.mark.parametrize("keep", [Keep.REDACTED, Keep.HASHED, Keep.NONE])
def test_a_start_has_nothing_of_a_prompt_that_is_restricted(keep):
    start, _ = call(prompts=keep)
    kept = TEXTS.start(start)
    dropped = kept.user_prompt
    assert (dropped.prompt, dropped.kept, dropped.truncated) == ("", Keep.NONE, keep is not Keep.NONE)
    assert kept.conversation is not None
    assert {kept.conversation.key, kept.conversation.continues}.isdisjoint({b"1" * 16, b"2" * 16, None})
    assert Texts().start(start).conversation is None
    assert kept.blocks is None
    assert TEXTS.start(replace(start, conversation=None, user_prompt=None)).user_prompt is None


def test_a_start_whose_prompt_is_not_restricted_stays_as_it_is():
    for start in (call()[0], call(tool_inputs=Keep.NONE)[0], interception()):
        assert TEXTS.start(start) is start
        assert without_restricted_texts(start) is start


def test_what_is_beyond_the_bounds_is_cut_and_said_to_be(monkeypatch):
    monkeypatch.setattr(restricted_texts, "MAX_TEXT", 10)
    monkeypatch.setattr(restricted_texts, "MAX_CALL", 16)
    monkeypatch.setattr(restricted_texts, "MAX_SPLIT", 4)
    start, end = TEXTS.ended(*call(prompts=Keep.REDACTED, tool_inputs=Keep.REDACTED))
    (tool,) = end.reading.tool_usages
    assert end.reading.response.truncated is False
    assert (start.user_prompt.prompt, start.user_prompt.truncated) == ("prompt", True)
    assert (tool.input, tool.truncated) == ("to", True)


@for_each("split", "alice.smith@exam", "4111 1111 1111 11", "sk-proj-abcdefgh")
def test_nothing_is_left_of_what_a_cut_splits(split):
    start, end = call(prompts=Keep.REDACTED, responses=Keep.REDACTED)
    beginning = "a" * (MAX_ERROR_MESSAGE - len(split) - 1) + " "
    cut = UserPrompt(prompt=beginning + split, truncated=True)
    error = ProviderError(type="invalid", message=beginning + split)
    kept, ended = TEXTS.ended(replace(start, user_prompt=cut), replace(end, error=error))
    assert kept.user_prompt.truncated
    assert kept.user_prompt.prompt == ended.error.message == beginning[: MAX_ERROR_MESSAGE - MAX_SPLIT]


def test_where_texts_cannot_be_looked_through_none_that_is_restricted_is_left():
    start, end = call(prompts=Keep.REDACTED, thoughts=Keep.HASHED, responses=Keep.REDACTED)
    bare = without_restricted_texts(start), without_restricted_words(start.recording, end)
    assert words(*bare) == ["", f"tool {MAIL}", "", "", "", ""]
    dropped = bare[0].user_prompt, bare[1].reading.model_thoughts[0], bare[1].reading.response
    assert [(one.kept, one.truncated) for one in dropped] == [(Keep.NONE, True)] * 3
    kept = without_restricted_words(Recording(responses=Keep.FULL, prompts=Keep.NONE), end)
    assert kept.reading.response == end.reading.response
    assert without_restricted_words(None, end) is end
    assert TEXTS.ended(replace(start, recording=None), end) == (replace(start, recording=None), end)


def test_a_call_without_errors_has_none():
    start, end = call(responses=Keep.NONE)
    quiet = replace(end, error=None, reading=Reading(), tries=())
    assert TEXTS.ended(replace(start, user_prompt=None), quiet)[1] == quiet


levels = st.builds(
    Recording,
    **dict.fromkeys(KINDS[:3], st.sampled_from(Keep)),
    responses=st.none() | st.sampled_from(Keep),
    patterns=st.lists(st.text()).map(tuple),
    retention=st.none() | st.integers(1, 9),
    responses_retention=st.none() | st.integers(1, 9),
)


@given(st.lists(levels, max_size=4))
def test_the_strictest_level_of_each_kind_holds(recordings):
    together = strictest(recordings)
    order = list(Keep)
    for kind in KINDS:
        kept = getattr(together or Recording(), kind)
        said = [order.index(keep) for one in recordings if (keep := getattr(one, kind)) is not None]
        assert kept == (order[max(said)] if said else getattr(Recording(), kind))
    for days in ("retention", "responses_retention"):
        shortest = min((one for each in recordings if (one := getattr(each, days))), default=None)
        assert getattr(together or Recording(), days) == shortest
    if together:
        assert set(together.patterns) == {pattern for one in recordings for pattern in one.patterns}
        assert strictest([together]) == together
