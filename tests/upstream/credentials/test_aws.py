from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tests.cases import for_each
from upstream.client import CredentialError
from upstream.credentials.aws import AwsAuthorizer, describe_skew
from upstream.credentials.aws_credentials import FoundKeys, NoAwsKeysError, StaticKeys
from upstream.credentials.sigv4 import AwsKeys, Scope, sign

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = AwsKeys("AKIDEXAMPLE", "secret", "token")
SCOPE = Scope("eu-central-1", "bedrock")
URL = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m%3A0/invoke?a=1"
TARGET = "/model/m%3A0/invoke?a=1"


def authorizer(source=None):
    return AwsAuthorizer(source or StaticKeys(KEYS), SCOPE, lambda: NOW)


@pytest.mark.gen_test
@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_a_request_is_signed_with_what_aws_looks_at(io_loop, size):
    body = bytes(size)
    headers = [
        ("User-Agent", "boto3"),
        ("Content-Type", "application/json"),
        ("X-Amzn-Bedrock-Trace", "ENABLED"),
        ("X-Amzn-Trace-Id", "Root=1"),
    ]
    signed = [("Host", "bedrock-runtime.eu-central-1.amazonaws.com"), headers[1], headers[2]]
    assert await authorizer().authorize("POST", URL, headers, bytearray(body)) == sign(
        "POST", TARGET, signed, sha256(body).hexdigest(), keys=KEYS, scope=SCOPE, at=NOW
    )


@pytest.mark.gen_test
@pytest.mark.expects_log("no AWS credentials: NoAwsKeysError: none were found")
async def test_without_access_keys_the_client_is_told_where_it_is_said_why(io_loop):
    def find():
        raise NoAwsKeysError("none were found")

    with pytest.raises(CredentialError, match=r"^the bridge has no AWS credentials; its log says why$"):
        await authorizer(FoundKeys(find, lambda: 0.0)).authorize("POST", URL, [], b"")


@for_each(
    ("date", "said"),
    [
        ("Sun, 01 Mar 2026 12:05:00 GMT", ""),
        ("Sun, 01 Mar 2026 11:55:00 GMT", ""),
        ("Sun, 01 Mar 2026 12:17:10 GMT", "17 minutes behind"),
        ("Sun, 01 Mar 2026 10:00:00 GMT", "120 minutes ahead of"),
        ("", ""),
        ("yesterday", ""),
        ("Sun, 01 Mar 2026 12:17:10", ""),
    ],
)
def test_a_clock_that_is_wrong_is_said_to_be(date, said):
    sentence = f"the clock of the bridge's server is {said} that of AWS, which allows 5 minutes"
    assert describe_skew(date, NOW) == (sentence if said else "")


def test_only_a_403_is_explained():
    headers = {"date": "Sun, 01 Mar 2026 12:17:10 GMT"}
    assert [bool(authorizer().explain(status, headers.get)) for status in (200, 400, 429)] == [False] * 3
    headers["x-amzn-errortype"] = "InvalidSignatureException:http://internal.amazon.com/"
    assert authorizer().explain(403, headers.get).startswith("the clock of the bridge's server is 17 minutes behind")


@pytest.mark.gen_test
async def test_keys_that_have_ended_are_looked_for_anew(io_loop):
    time = 0.0
    found = iter([KEYS, AwsKeys("NEW", "secret")])
    source = FoundKeys(lambda: next(found), lambda: time)
    assert await source.keys() is KEYS
    time = 10.0
    headers = {"x-amzn-errortype": "ExpiredTokenException:http://internal.amazon.com/"}
    authorizer(source).explain(403, lambda name: headers.get(name, ""))
    assert (await source.keys()).access_key_id == "NEW"


def test_the_skew_is_measured_between_aware_times():
    assert "behind" in describe_skew("Sun, 01 Mar 2026 12:17:10 +0000", NOW + timedelta(0))
