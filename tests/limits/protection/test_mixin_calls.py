"""The steps of the mixin that follow once the body of a call is known."""

from __future__ import annotations

import json

import pytest
from tornado.web import Application, RequestHandler

from limits.limit import Amounts
from limits.protection.mixin import OverloadProtectionMixin
from limits.protection.overload import OverloadedError
from limits.request_limits import Client
from tests.limits.protection.overload_protection import protection


class CallHandler(OverloadProtectionMixin, RequestHandler):
    """A call that reserves 60 tokens of its user, and uses as many as its address says."""

    def initialize(self, overload):
        self.overload = overload

    async def prepare(self):
        await self.acquire_slot()
        slot = self.hand_over_slot()
        self.take_over_slot(slot)
        await self.count_request(Client("token", self.get_argument("user", None)))

    async def get(self):
        await self.count_call(lambda: Amounts(60, 0))
        used = int(self.get_argument("used"))
        if self.is_charged:
            self.charge(Amounts(used, 0), Amounts())
        self.write({"charged": self.is_charged, "holds": self.holds_slots})

    def write_error(self, status_code, **kwargs):
        error = kwargs["exc_info"][1]
        assert isinstance(error, OverloadedError)
        self.set_status(error.status)
        self.finish({"rule": error.rule, "holds": self.holds_slots})

    def log_exception(self, *_):
        """Refusals are no news here."""


@pytest.fixture
def overload():
    return protection(max_concurrency=1, user_token_limit=100, reserve=True)


@pytest.fixture
def app(overload):
    return Application([("/", CallHandler, {"overload": overload})], log_function=lambda _: None)


@pytest.mark.gen_test
async def test_a_call_is_counted_charged_and_refused_by_what_its_user_has_left(http_client, base_url, overload):
    async def call(user, used):
        response = await http_client.fetch(f"{base_url}/?used={used}{user}", raise_error=False)
        return response.code, json.loads(response.body)

    assert await call("&user=ada", 50) == (200, {"charged": True, "holds": True})
    assert await call("&user=ada", 0) == (429, {"rule": "user_tokens", "holds": False})
    assert await call("&user=grace", 10) == (200, {"charged": True, "holds": True})
    assert await call("", 10) == (200, {"charged": False, "holds": True})
    assert overload.holding == 0
