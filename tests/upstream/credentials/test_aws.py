import json
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tests.answering import Answer, AnsweringServer
from tests.cases import for_each
from upstream.client import CredentialError
from upstream.credentials.aws import AwsAuthorizer, botocore_finder
from upstream.credentials.sigv4 import AwsKeys, Scope, sign

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = AwsKeys("AKIDEXAMPLE", "secret", "token")
SCOPE = Scope("eu-central-1", "bedrock")
URL = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m%3A0/invoke?a=1"
TARGET = "/model/m%3A0/invoke?a=1"


def authorizer(find=lambda: KEYS):
    return AwsAuthorizer(find, SCOPE, lambda: NOW, lambda: 0.0)


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


@pytest.fixture
def no_aws(monkeypatch, tmp_path):
    """An environment in which botocore finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def test_botocore_finds_those_of_the_environment(no_aws, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert botocore_finder("")() == AwsKeys("AKIDEXAMPLE", "secret", "token")


def test_botocore_finds_those_of_a_profile(no_aws, monkeypatch):
    (no_aws / "credentials").write_text(
        "[one]\naws_access_key_id=ONE\naws_secret_access_key=1\n[two]\naws_access_key_id=TWO\naws_secret_access_key=2\n"
    )
    find = botocore_finder("two")
    assert find() == AwsKeys("TWO", "2")
    monkeypatch.setenv("AWS_PROFILE", "one")
    assert botocore_finder("")() == AwsKeys("ONE", "1")
    (no_aws / "credentials").write_text("[two]\naws_access_key_id=ROTATED\naws_secret_access_key=3\n")
    assert find() == AwsKeys("ROTATED", "3")


@for_each(
    ("profile", "why"),
    ("", "LookupError: none were found: not in the environment, a profile, a container or an instance"),
    ("three", "ProfileNotFound: The config profile (three) could not be found"),
)
@pytest.mark.expects_log("no AWS credentials")
async def test_without_access_keys_the_client_is_told_that_the_log_says_why(io_loop, no_aws, caplog, profile, why):
    with pytest.raises(CredentialError, match=r"^the bridge has no AWS credentials; its log says why$"):
        await authorizer(botocore_finder(profile)).authorize("POST", URL, [], b"")
    assert caplog.messages[-1] == f"no AWS credentials: {why}"


def of_an_instance(asked):
    """Answer as the part of an instance's metadata service that gives the keys of its role."""
    keys = {"AccessKeyId": "ASIAROLE", "SecretAccessKey": "secret", "Token": "token"}
    role = {"Code": "Success", **keys, "Expiration": "2126-01-01T00:00:00Z"}
    said = b"a-session" if asked.method == "PUT" else b"the-role" if asked.path.endswith("/") else role
    return Answer(200, said, {"X-aws-ec2-metadata-token-ttl-seconds": "60"})


def test_botocore_finds_those_of_an_instance(no_aws, monkeypatch):
    with closing(AnsweringServer(of_an_instance)) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{server.url}/")
        assert botocore_finder("")() == AwsKeys("ASIAROLE", "secret", "token")


CASES = json.loads(Path(__file__).with_name("sigv4_vectors.json").read_text("utf-8"))["cases"]
SUITE_KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
TOKEN = "X-Amz-Security-Token"

SEGMENT = st.text("abcXYZ019-._~!$&'()*+,=:@", max_size=6) | st.sampled_from(
    ["arn:aws:bedrock:us-east-1:1:inference-profile%2Fus.anthropic", "m%3A0", "%e1%88%b4", ".", "..", ""]
)
PATHS = st.lists(SEGMENT, max_size=5).map(lambda segments: "/" + "/".join(segments))
QUERIES = st.lists(st.text("ab=%20+-", max_size=5), max_size=3).map("&".join)
TARGETS = PATHS | st.tuples(PATHS, QUERIES.filter(bool)).map("?".join)
VALUES = st.text("ab ,;/\t", min_size=1, max_size=8).map(str.strip).filter(bool)
HEADERS = st.dictionaries(st.sampled_from(["Content-Type", "X-Amzn-Bedrock-Trace", "x-amz-meta", "Accept"]), VALUES)
TEXTS = st.text("abcXYZ019+/=", min_size=1, max_size=24)
ANY_KEYS = st.builds(AwsKeys, TEXTS, TEXTS, TEXTS | st.just(""))


def read_case(case):
    """Method, target, headers and body of a request of the suite."""
    head, _, body = case["request"].partition("\n\n")
    request, *lines = head.rstrip("\n").replace("\n ", " ").split("\n")
    method, _, rest = request.partition(" ")
    path, mark, query = rest.removesuffix(" HTTP/1.1").partition("?")
    headers = [(name, value) for name, _, value in (line.partition(":") for line in lines)]
    return method, path + mark + quote(query, safe="%&=-._~"), headers, body.encode()


@for_each("case", *CASES, ids=lambda case: case["name"])
def test_a_request_of_the_suite_is_signed(case):
    method, target, headers, body = read_case(case)
    token = case.get("token", "")
    signed = [header for header in headers if header[0].lower() not in {"x-amz-date", TOKEN.lower()}]
    added = sign(
        *(method, target, signed, sha256(body).hexdigest()),
        keys=AwsKeys(*SUITE_KEYS, token),
        scope=Scope("us-east-1", "service"),
        at=SUITE_TIME,
    )
    assert added == [
        ("X-Amz-Date", "20150830T123600Z"),
        *([(TOKEN, token)] if token else []),
        ("Authorization", case["authorization"]),
    ]


@given(st.sampled_from(["GET", "POST"]), TARGETS, HEADERS, st.binary(max_size=20), ANY_KEYS)
def test_a_signature_is_that_of_botocore(method, target, headers, body, keys):
    request = AWSRequest(method, f"https://bedrock-runtime.us-east-1.amazonaws.com{target}", dict(headers), body)
    SigV4Auth(
        Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None), "bedrock", "us-east-1"
    ).add_auth(request)
    at = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    added = sign(
        *(method, target, [("Host", "bedrock-runtime.us-east-1.amazonaws.com"), *headers.items()]),
        sha256(body).hexdigest(),
        keys=keys,
        scope=Scope("us-east-1", "bedrock"),
        at=at,
    )
    assert dict(added) == {name: value for name, value in request.headers.items() if name not in headers}


def test_keys_show_no_secret():
    assert repr(AwsKeys("AKIDEXAMPLE", "secret", "token")) == "AwsKeys(access_key_id='AKIDEXAMPLE')"
