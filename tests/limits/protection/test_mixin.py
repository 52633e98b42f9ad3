import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.web import Application, RequestHandler

from intercept.refusals import Rule
from limits.protection.mixin import OverloadProtectionMixin, client_key
from limits.protection.overload import OverloadedError
from limits.request_limits import Client
from tests.cases import for_each
from tests.limits.clock import Clock
from tests.limits.protection.overload_protection import protection


class Stage:
    """What tests and handlers tell one another."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.finished = asyncio.Event()
        self.user_slots_in_use: int | None = None


class AnyHandler(RequestHandler):
    """What the mixin is put in front of: answers refusals, and tells the test when it is over."""

    def initialize(self, overload, stage):
        self.overload = overload
        self.stage = stage

    def write_error(self, status_code, **kwargs):
        error = kwargs["exc_info"][1]
        if isinstance(error, OverloadedError):
            self.set_status(error.status)
            for name, value in error.headers.items():
                self.set_header(name, value)
            self.write(error.message)
        self.finish()

    def log_exception(self, *_):
        """Refusals and the failures asked for are no news here."""

    def on_finish(self):
        self.stage.finished.set()

    async def get(self):
        self.write("served")


class ProtectedHandler(OverloadProtectionMixin, AnyHandler):
    async def prepare(self):
        await self.acquire_slot()
        await self.count_request(Client(self.get_argument("key", "token"), self.get_argument("user", None)))


class FailingHandler(ProtectedHandler):
    async def get(self):
        raise RuntimeError("asked for")


class UnpreparedHandler(OverloadProtectionMixin, AnyHandler):
    pass


class SlowlyIdentifiedHandler(OverloadProtectionMixin, AnyHandler):
    """Its client leaves while it is being identified."""

    async def prepare(self):
        await self.acquire_slot()
        self.stage.entered.set()
        await self.stage.gate.wait()
        await self.count_request(Client("token", "user"))
        self.stage.user_slots_in_use = in_use(self.overload)[1]

    def on_connection_close(self):
        self.release_slots()
        self.stage.gate.set()


class TwiceReleasedHandler(ProtectedHandler):
    async def get(self):
        self.release_slots()
        self.release_slots()
        self.write(str(self.overload.holding) + str(self.holds_slots))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def overload(clock):
    return protection(max_concurrency=2, rate_limit=3, user_max_concurrency=1, now_ns=clock)


@pytest.fixture
def app(overload, stage):
    parts = {"overload": overload, "stage": stage}
    routes = {
        "/": ProtectedHandler,
        "/failing": FailingHandler,
        "/unprepared": UnpreparedHandler,
        "/slowly-identified": SlowlyIdentifiedHandler,
        "/twice-released": TwiceReleasedHandler,
    }
    return Application([(path, handler, parts) for path, handler in routes.items()], log_function=lambda _: None)


@pytest.fixture
def get(http_client, base_url):
    return lambda path: http_client.fetch(base_url + path, raise_error=False)


def in_use(overload):
    """Requests that hold slots, and users that do."""
    states = overload.authority.limiter.usage(99)
    return overload.holding, sum(state.limit.rule is Rule.USER_CONCURRENCY for state in states)


@pytest.mark.gen_test
async def test_a_client_that_leaves_while_it_is_being_identified_keeps_no_slot(overload, stage, http_server, http_port):
    with socket.create_connection(("127.0.0.1", http_port)) as client:
        client.sendall(b"GET /slowly-identified HTTP/1.1\r\nHost: bridge\r\n\r\n")
        await stage.entered.wait()
    await stage.finished.wait()
    assert stage.user_slots_in_use == 0
    assert in_use(overload) == (0, 0)


@pytest.mark.gen_test
async def test_after_a_storm_of_requests_nothing_is_in_use(get, overload):
    paths = ["/?user=ada", "/failing?user=ada", "/?key=b", "/unprepared", "/twice-released?key=c"] * 8
    codes = [response.code for response in await asyncio.gather(*map(get, paths))]
    assert set(codes) <= {200, 429, 500, 503}
    assert in_use(overload) == (0, 0)


@for_each(
    ("ip", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_a_client_without_a_token_is_known_by_its_network(ip, key):
    assert client_key(ip) == key


@given(st.text())
def test_no_text_is_too_strange_to_be_a_client(text):
    assert isinstance(client_key(text), str)
