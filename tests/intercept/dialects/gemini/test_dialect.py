import json

from intercept.apis import RefusalBody
from intercept.dialects.gemini.dialect import read_refusal
from tests.cases import for_each

INFO, RETRY = "type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/google.rpc.RetryInfo"
INVALID = {
    "error": {"code": 400, "details": [{"@type": INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}
}
LIMITED = {"error": {"code": 429, "details": [{"@type": "other"}, {"@type": RETRY, "retryDelay": "34.5s"}]}}


@for_each(
    ("body", "said"),
    [
        (INVALID, RefusalBody(is_invalid_key=True)),
        ([INVALID], RefusalBody(is_invalid_key=True)),
        (LIMITED, RefusalBody(retry_after=34.5)),
        ({"error": {"code": 400, "details": [{"reason": "OTHER", "retryDelay": "soon"}]}}, RefusalBody()),
        ({"error": {"code": 400, "message": "API_KEY_INVALID"}}, RefusalBody()),
        ({"error": "no"}, RefusalBody()),
        ([], RefusalBody()),
    ],
)
def test_a_refusal_says_whether_the_key_is_wrong_and_when_to_come_back(body, said):
    assert read_refusal(json.dumps(body).encode()) == said
