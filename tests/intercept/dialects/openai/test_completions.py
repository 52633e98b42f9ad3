import pytest

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.openai.completions import parse_request
from intercept.records import UserPrompt
from tests.cases import for_each


def test_a_prompt_that_is_one_string_is_recorded():
    body = b'{"model": "m", "prompt": "Hi", "n": 2, "max_tokens": 5, "stream": true}'
    assert parse_request(body) == RequestSummary(
        model="m", stream=True, user_prompt=UserPrompt(prompt="Hi"), max_output_tokens=10
    )


@for_each("prompt", [b'["a", "b"]', b"[1, 2]", b"null", b'""'])
def test_of_other_prompts_none_is(prompt):
    assert parse_request(b'{"model": "m", "prompt": %s}' % prompt) == RequestSummary(model="m")


def test_a_model_is_required():
    with pytest.raises(InvalidRequestError):
        parse_request(b'{"prompt": "Hi"}')
