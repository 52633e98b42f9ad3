"""The form of requests that change something."""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from handlers.base import IDENTITIES_UNAVAILABLE, UNIDENTIFIED
from handlers.operations.handler import NOT_JSON, SWALLOWED_BYTES, TOO_LARGE
from handlers.operations.operation import MAX_BODY_BYTES
from handlers.operations.problems import INVALID_BODY, NO_OBJECT
from handlers.problems import DATABASE_UNAVAILABLE
from resources.bodies import ONLY_ONCE, Body, InvalidBodyError, Readers
from runtime.process import now
from tests.bridge import until

PATH = "/api/v2/aibridge/users"
JSON = {"Content-Type": "application/json"}
GRACE = b'{"username": "grace", "role": "member"}'


class Texts(Body):
    b: str
    a: str | UnsetType = UNSET

    readers: ClassVar[Readers] = {"a": str, "b": str.upper}


texts = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]) | texts, texts | st.none() | st.integers() | st.lists(texts)))
def test_a_body_with_unknown_or_wrong_fields_is_told_each_of_them(given):
    wrong = {name for name, value in given.items() if name not in {"a", "b"} or not isinstance(value, str)}
    wrong |= {"b"} - given.keys()
    body = json.dumps(given).encode()
    if wrong:
        with pytest.raises(InvalidBodyError) as caught:
            Texts.read(body, now())
        assert {field for field, _ in caught.value.problems} == wrong
    else:
        assert Texts.read(body, now()) == Texts(given["b"].upper(), given.get("a", UNSET))


@given(st.binary() | st.sampled_from([b"[" * 4096, b'{"a":' * 800, b'"a"', b"null", b"[]", b'{"\\ud800": "x"}']))
def test_whatever_else_it_is_it_is_refused_as_such(body):
    with pytest.raises(InvalidBodyError):
        Texts.read(body, now())


async def test_a_body_changes_something_if_it_is_as_expected_and_from_the_bridges_own_page(running):
    # a body that is not what was expected changes nothing
    no_object = {"message": INVALID_BODY, "detail": NO_OBJECT}
    twice = {"message": INVALID_BODY, "validations": [{"field": "role", "detail": ONLY_ONCE}]}
    for headers, body, status, response in (
        ({"Content-Type": ""}, GRACE, 415, {"message": NOT_JSON}),
        ({"Content-Type": "text/plain"}, GRACE, 415, {"message": NOT_JSON}),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"username=x", 415, {"message": NOT_JSON}),
        (JSON, b"", 400, no_object),
        (JSON, b"\xff", 400, no_object),
        (JSON, b'{"\xff": "x"}', 400, no_object),
        (JSON, b"[]", 400, no_object),
        (JSON, b'{"username": "grace", "role": "member", "role": "owner"}', 400, twice),
        (JSON, b"[" * MAX_BODY_BYTES, 400, no_object),
        (JSON, GRACE.ljust(MAX_BODY_BYTES + 1), 413, {"message": TOO_LARGE.format(MAX_BODY_BYTES)}),
        (JSON, GRACE.ljust(SWALLOWED_BYTES), 413, {"message": TOO_LARGE.format(MAX_BODY_BYTES)}),
    ):
        given, case = await running.request("POST", PATH, running.headers | headers, body), (headers, body[:50])
        assert (given.status, json.loads(given.body)) == (status, response), case
        assert await running.bridge.identities.find_user("grace") is None, case
    await running.afresh()
    # a body of the largest size and a media type with parameters are taken
    headers = running.headers | {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await running.request("POST", PATH, headers, GRACE.ljust(MAX_BODY_BYTES))).status == 201
    await running.afresh()
    # another sites page changes nothing with the cookie
    cookie = JSON | {"Cookie": (await running.signed_in())["Cookie"]}
    token_id = running.identity.token_id
    for foreign in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ):
        for method, path, body in (
            ("POST", PATH, GRACE),
            ("PATCH", f"{PATH}/ada", b'{"name": "x"}'),
            ("DELETE", f"{PATH}/ada", b""),
            ("POST", f"{PATH}/me/tokens", b"{}"),
            ("DELETE", f"/api/v2/aibridge/tokens/{token_id}", b""),
        ):
            response = await running.request(method, path, cookie | foreign, body)
            refused = (response.status, json.loads(response.body))
            assert refused == (401, {"message": UNIDENTIFIED}), (foreign, method, path)
    (user,) = await running.bridge.identities.list_users()
    (token,) = await running.bridge.identities.list_tokens("ada")
    assert (user.name, token.revoked_at) == ("ada", None)
    await running.afresh()
    # the bridges own page changes things with the cookie
    cookie = JSON | {"Cookie": (await running.signed_in())["Cookie"], "Origin": "http://bridge"}
    assert (await running.request("POST", PATH, cookie, GRACE)).status == 201


async def test_a_body_that_is_far_too_large_is_not_read(running):
    client = await running.client()
    headers = "".join(f"{name}: {value}\r\n" for name, value in running.headers.items())
    length = f"Content-Length: {SWALLOWED_BYTES + 1}\r\n\r\n"
    await client.send_raw(f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\n{headers}{length}".encode())
    response = await client.rest(await client.head())
    assert (response.status, response.whole) == (413, True)
    assert await client.at_end() == b""


class TestWithoutTheDatabase:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    @pytest.mark.expects_log("WARNING storage.mongo.health: the database is unavailable: ")
    async def test_who_sees_or_changes_something_is_told_to_wait(self, running, private_mongodb, log_watch):
        assert (await running.get(f"{PATH}/me"))[0] == 200
        private_mongodb.freeze()
        try:
            cases = (("GET", b"", DATABASE_UNAVAILABLE), ("POST", GRACE, IDENTITIES_UNAVAILABLE))
            clients = [await running.client() for _ in cases]
            requests = zip(clients, cases, strict=True)  # at once: each waits for as long as the database may take
            asked = [client.request(method, PATH, running.headers, body) for client, (method, body, _) in requests]
            for response, (_, _, message) in zip(await asyncio.gather(*asked), cases, strict=True):
                assert (response.status, json.loads(response.body)) == (503, {"message": message})
                assert response.header("Retry-After") == "1"
            await until(lambda: log_watch.has("the database is unavailable"))
        finally:
            private_mongodb.thaw()
