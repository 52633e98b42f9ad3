import pytest

from tests.sdk.libraries import anthropic_sdk, openai_sdk


@pytest.mark.gen_test
async def test_each_sdk_retrieves_one_model(openai, anthropic):
    assert (await openai.models.retrieve("demo")).to_dict() == {
        "id": "demo",
        "object": "model",
        "created": 1767225600,
        "owned_by": "demo",
    }
    assert (await anthropic.models.retrieve("demo")).to_dict(mode="json") == {
        "type": "model",
        "id": "demo",
        "display_name": "Demo",
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    }


@pytest.mark.gen_test
async def test_an_unknown_model_is_not_found_in_either_dialect(openai, anthropic):
    with pytest.raises(openai_sdk.NotFoundError) as openai_error:
        await openai.models.retrieve("other")
    assert openai_error.value.body == {
        "message": "The model 'other' does not exist.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    with pytest.raises(anthropic_sdk.NotFoundError) as anthropic_error:
        await anthropic.models.retrieve("other")
    assert anthropic_error.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "The model 'other' does not exist."},
        "request_id": "req_key1",
    }
