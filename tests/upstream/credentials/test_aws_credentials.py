import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from upstream.credentials.aws_credentials import FoundKeys, NoAwsKeysError, botocore_finder
from upstream.credentials.sigv4 import AwsKeys

FIRST, SECOND = AwsKeys("FIRST", "secret"), AwsKeys("SECOND", "secret", "token")


@pytest.fixture
def no_aws(monkeypatch, tmp_path):
    """An environment in which botocore finds nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def test_botocore_finds_none(no_aws):
    with pytest.raises(NoAwsKeysError, match="none were found"):
        botocore_finder("")()


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


@pytest.mark.gen_test
@pytest.mark.expects_log(r"no AWS credentials: ProfileNotFound: The config profile \(three\) could not be found")
async def test_a_profile_that_there_is_not_is_said(io_loop, no_aws):
    with pytest.raises(NoAwsKeysError, match=r"ProfileNotFound: The config profile \(three\) could not be found"):
        await FoundKeys(botocore_finder("three"), lambda: 0.0).keys()


class MetadataService(BaseHTTPRequestHandler):
    """The part of an instance's metadata service that gives the keys of its role."""

    expiration = "2126-01-01T00:00:00Z"

    def do_PUT(self):
        self._answer("a-session", 200)

    def do_GET(self):
        role = {
            "Code": "Success",
            "AccessKeyId": "ASIAROLE",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": self.expiration,
        }
        self._answer("the-role" if self.path.endswith("/") else json.dumps(role), 200)

    def _answer(self, text, status):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def test_botocore_finds_those_of_an_instance(no_aws, monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), MetadataService)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        assert botocore_finder("")() == AwsKeys("ASIAROLE", "secret", "token")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
