"""Compared with the suite that AWS publishes (`sigv4_vectors.json`), and with botocore."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.credentials.sigv4 import AwsKeys, Scope, sign

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
KEYS = st.builds(AwsKeys, TEXTS, TEXTS, TEXTS | st.just(""))


def read_case(case):
    """Method, target, headers and body of a request of the suite."""
    head, _, body = case["request"].partition("\n\n")
    request, *lines = head.rstrip("\n").replace("\n ", " ").split("\n")
    method, _, rest = request.partition(" ")
    path, mark, query = rest.removesuffix(" HTTP/1.1").partition("?")
    headers = [(name, value) for name, _, value in (line.partition(":") for line in lines)]
    return method, path + mark + quote(query, safe="%&=-._~"), headers, body.encode()


@for_each("case", CASES, ids=lambda case: case["name"])
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


@given(st.sampled_from(["GET", "POST"]), TARGETS, HEADERS, st.binary(max_size=20), KEYS)
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
