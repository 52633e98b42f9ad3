"""The most that a request allows the model to write."""

import json

from intercept.dialects.request_bodies import decode_request
from tests.cases import for_each


@for_each(
    ("body", "most"),
    [
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 8, "max_tokens": 9}, 9),
        ({"max_completion_tokens": 8, "n": 3}, 24),
        ({"max_tokens": 7}, 7),
        ({"max_output_tokens": 6}, 6),
        ({"inferenceConfig": {"maxTokens": 5}}, 5),
        ({"max_tokens": 4}, 4),
        ({"generationConfig": {"maxOutputTokens": 3, "candidateCount": 2}}, 6),
        ({"generation_config": {"max_output_tokens": 3}}, 3),
        ({"generationConfig": 3}, None),
        ({"max_tokens": 4, "inferenceConfig": {"maxTokens": 5}}, 5),
        ({"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 6}}}, 6),
        ({"textGenerationConfig": {"maxTokenCount": 7}}, 7),
        ({}, None),
        ({"n": 3}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": "9"}, None),
        ({"max_tokens": -9}, None),
        ({"max_tokens": 0}, None),
        ({"max_tokens": 1.5}, None),
        ({"max_tokens": 10**12}, None),
        ({"max_tokens": 9, "n": [1]}, 9),
        ({"inferenceConfig": []}, None),
    ],
)
def test_the_most_that_a_request_allows_is_read_from_it(body, most):
    assert decode_request(json.dumps({"model": "m"} | body).encode()).summary().max_output_tokens == most
