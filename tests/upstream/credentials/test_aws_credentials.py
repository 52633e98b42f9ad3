import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from upstream.credentials.aws_credentials import FoundKeys, NoAwsKeysError, StaticKeys, botocore_finder
from upstream.credentials.sigv4 import AwsKeys

FIRST, SECOND = AwsKeys("FIRST", "secret"), AwsKeys("SECOND", "secret", "token")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Chain:
    """Gives what it is told to, in a thread, once `gate` is open."""

    def __init__(self, *found):
        self.found = list(found)
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self):
        self.calls += 1
        self.gate.wait(10)
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found


async def searched(source):
    """Wait until no search is under way."""
    while source._search is not None:
        await asyncio.wait([source._search])


@pytest.mark.gen_test
async def test_given_keys_are_given(io_loop):
    assert await StaticKeys(FIRST).keys() is FIRST


@pytest.mark.gen_test
async def test_requests_that_come_at_once_wait_for_one_search(io_loop):
    chain, clock = Chain(FIRST), Clock()
    source = FoundKeys(chain, clock)
    assert await asyncio.gather(*[source.keys() for _ in range(5)]) == [FIRST] * 5
    assert chain.calls == 1
    clock.now += 59
    assert await source.keys() is FIRST
    assert chain.calls == 1


@pytest.mark.gen_test
async def test_keys_are_looked_for_ahead_and_nobody_waits(io_loop):
    chain, clock = Chain(FIRST, SECOND), Clock()
    source = FoundKeys(chain, clock)
    await source.keys()
    chain.gate.clear()
    clock.now += 60
    assert [await source.keys(), await source.keys()] == [FIRST, FIRST]
    chain.gate.set()
    await searched(source)
    assert (await source.keys(), chain.calls) == (SECOND, 2)


@pytest.mark.gen_test
async def test_old_keys_are_waited_for(io_loop):
    chain, clock = Chain(FIRST, SECOND), Clock()
    source = FoundKeys(chain, clock)
    await source.keys()
    clock.now += 600
    assert await source.keys() is SECOND


@pytest.mark.gen_test
@pytest.mark.expects_log(r"no AWS credentials: OSError: the file is gone")
async def test_keys_stay_while_they_cannot_be_renewed_but_not_for_long(io_loop):
    chain, clock = Chain(FIRST, OSError("the file is gone\nsecond line"), SECOND), Clock()
    source = FoundKeys(chain, clock)
    await source.keys()
    clock.now += 60
    assert await source.keys() is FIRST
    await searched(source)
    clock.now += 4
    assert (await source.keys(), chain.calls) == (FIRST, 2)
    clock.now += 600
    assert (await source.keys(), chain.calls) == (SECOND, 3)


@pytest.mark.gen_test
@pytest.mark.expects_log(r"no AWS credentials: none were found")
async def test_who_asks_again_at_once_is_told_at_once_that_there_are_none(io_loop):
    chain, clock = Chain(NoAwsKeysError("none were found")), Clock()
    source = FoundKeys(chain, clock)
    for calls, passed in ((1, 0), (1, 4), (2, 1)):
        clock.now += passed
        with pytest.raises(NoAwsKeysError, match=r"^none were found$"):
            await source.keys()
        assert chain.calls == calls


@pytest.mark.gen_test
async def test_a_request_that_is_given_up_gives_up_no_search_of_others(io_loop):
    chain = Chain(FIRST)
    source = FoundKeys(chain, Clock())
    chain.gate.clear()
    waiting = [asyncio.create_task(source.keys()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    chain.gate.set()
    assert (await waiting[1], chain.calls) == (FIRST, 1)


@pytest.mark.gen_test
async def test_keys_that_aws_takes_for_ended_are_looked_for_anew_but_not_at_once(io_loop):
    chain, clock = Chain(FIRST, SECOND), Clock()
    source = FoundKeys(chain, clock)
    await source.keys()
    source.expire()
    assert await source.keys() is FIRST
    clock.now += 5
    source.expire()
    assert await source.keys() is SECOND
    given = StaticKeys(FIRST)
    given.expire()
    assert await given.keys() is FIRST


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
        await FoundKeys(botocore_finder("three"), Clock()).keys()


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
