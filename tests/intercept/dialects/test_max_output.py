"""The most that a request allows the model to write."""

import json

from intercept.dialects import anthropic as messages
from intercept.dialects.bedrock import requests as bedrock_requests
from intercept.dialects.gemini import contents as gemini
from intercept.dialects.openai import chat_completions, responses
from tests.cases import for_each

TEXT = [{"role": "user", "content": "Hello"}]


@for_each(
    ("parse", "body", "most"),
    [
        (chat_completions.parse_request, {"max_tokens": 9}, 9),
        (chat_completions.parse_request, {"max_completion_tokens": 8, "max_tokens": 9}, 9),
        (chat_completions.parse_request, {"max_completion_tokens": 8, "n": 3}, 24),
        (messages.parse_request, {"max_tokens": 7}, 7),
        (responses.parse_request, {"max_output_tokens": 6}, 6),
        (bedrock_requests.parse_request, {"inferenceConfig": {"maxTokens": 5}}, 5),
        (bedrock_requests.parse_request, {"max_tokens": 4}, 4),
        (gemini.parse_request, {"generationConfig": {"maxOutputTokens": 3, "candidateCount": 2}}, 6),
        (gemini.parse_request, {"generation_config": {"max_output_tokens": 3}}, 3),
        (gemini.parse_request, {"generationConfig": 3}, None),
        (bedrock_requests.parse_request, {"max_tokens": 4, "inferenceConfig": {"maxTokens": 5}}, 5),
        (bedrock_requests.parse_request, {"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 6}}}, 6),
        (bedrock_requests.parse_request, {"textGenerationConfig": {"maxTokenCount": 7}}, 7),
        (chat_completions.parse_request, {}, None),
        (chat_completions.parse_request, {"n": 3}, None),
        (chat_completions.parse_request, {"max_tokens": None}, None),
        (chat_completions.parse_request, {"max_tokens": "9"}, None),
        (chat_completions.parse_request, {"max_tokens": -9}, None),
        (chat_completions.parse_request, {"max_tokens": 0}, None),
        (chat_completions.parse_request, {"max_tokens": 1.5}, None),
        (chat_completions.parse_request, {"max_tokens": 10**12}, None),
        (chat_completions.parse_request, {"max_tokens": 9, "n": [1]}, 9),
        (bedrock_requests.parse_request, {"inferenceConfig": []}, None),
    ],
)
def test_the_most_that_a_request_allows_is_read_from_it(parse, body, most):
    whole = json.dumps({"model": "m", "messages": TEXT} | body).encode()
    assert parse(whole).max_output_tokens == most
