"""A record as a reader sees it: no text of anybody, and everything else unchanged."""

from hypothesis import given

from intercept.records import ModelResponse, ModelThought, ProviderError, Reading, ToolUsage, Try, UserPrompt
from resources.recorded.interceptions import Interception, without_texts
from storage.recording.documents import ending_fields, start_document
from tests.storage.any_records import endings, interceptions
from tests.storage.records import ADA, INSTANCE, as_json, ending, interception, kept

WORD = "xylophone"


def document(start, end):
    return kept(start_document(start, instance_id=INSTANCE) | ending_fields(end))


def test_texts_are_empty_and_said_to_be_withheld_and_all_else_stays():
    tool = {"provider_response_id": "r", "provider_tool_call_id": "t", "tool": "Bash", "invocation_error": WORD}
    whole = document(
        interception(user_prompt=UserPrompt(prompt=WORD, synthetic=True)),
        ending(
            error=ProviderError(type="invalid_request_error", message=f"{WORD} is not allowed"),
            tries=(Try(provider_name="a", error=ProviderError(type="x", message=WORD)), Try(provider_name="b")),
            reading=Reading(
                tool_usages=(ToolUsage(input=f'{{"a": "{WORD}"}}', truncated=True, **tool),),
                model_thoughts=(ModelThought(content=WORD, source="thinking"),),
                response=ModelResponse(text=WORD, truncated=True),
            ),
        ),
    )
    seen = as_json(Interception.of, whole, {ADA.id: ADA})
    figures = as_json(Interception.of, without_texts(whole), {ADA.id: ADA})
    seen["user_prompts"][0] |= {"prompt": "", "metadata": {"synthetic": True, "withheld": True}}
    seen["tool_usages"][0] |= {"input": "", "invocation_error": "", "metadata": {"truncated": True, "withheld": True}}
    seen["model_thoughts"][0] |= {"content": "", "metadata": {"source": "thinking", "withheld": True}}
    seen["response"] = {"text": "", "metadata": {"truncated": True, "withheld": True}}
    seen["tries"][0]["error"] = {"type": "x", "message": ""}
    seen["error"] = {"type": "invalid_request_error", "message": ""}
    assert figures == seen
    assert WORD not in repr(figures)


@given(interceptions, endings)
def test_no_record_shows_a_text_to_readers(start, end):
    figures = as_json(Interception.of, without_texts(document(start, end)), {})
    texts = [
        *(prompt["prompt"] for prompt in figures["user_prompts"]),
        *(tool["input"] for tool in figures["tool_usages"]),
        *(thought["content"] for thought in figures["model_thoughts"]),
        (figures["response"] or {"text": ""})["text"],
        (figures["error"] or {"message": ""})["message"],
    ]
    assert set(texts) <= {""}
