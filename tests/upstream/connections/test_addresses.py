from __future__ import annotations

import asyncio
from socket import gaierror

import pytest

import upstream.connections.addresses
from tests.bridge import until
from upstream.connections.addresses import Addresses


class Names:
    """Looks names up as the event loop does, when a test lets it, and counts."""

    def __init__(self, loop):
        self.hosts = []
        self.gate = asyncio.Event()
        self._find = loop.getaddrinfo

    async def __call__(self, host, port, **how):
        self.hosts.append(host)
        await self.gate.wait()
        return await self._find(host, port, **how)


@pytest.fixture
def names(io_loop, monkeypatch):
    names = Names(io_loop.asyncio_loop)
    monkeypatch.setattr(io_loop.asyncio_loop, "getaddrinfo", names)
    return names


@pytest.fixture
def addresses(io_loop, names):
    async def make():
        return Addresses()

    return io_loop.run_sync(make)


@pytest.mark.gen_test
async def test_who_asks_at_the_same_time_and_shortly_after_is_told_the_same(addresses, names):
    asking = [asyncio.create_task(addresses.find("127.0.0.1", 80)) for _ in range(10)]
    await until(lambda: names.hosts)
    asking.pop().cancel()
    names.gate.set()
    found = await asyncio.gather(*asking)
    assert {address[4] for addresses in found for address in addresses} == {("127.0.0.1", 80)}
    assert await addresses.find("127.0.0.1", 80) == found[0]
    assert names.hosts == ["127.0.0.1"]
    assert (await addresses.find("127.0.0.1", 81))[0][4] == ("127.0.0.1", 81)


@pytest.mark.gen_test
async def test_what_is_old_or_to_be_forgotten_is_looked_up_again(addresses, names, monkeypatch):
    names.gate.set()
    await addresses.find("127.0.0.1", 80)
    addresses.forget("127.0.0.1", 80)
    addresses.forget("127.0.0.1", 80)
    monkeypatch.setattr(upstream.connections.addresses, "ADDRESSES_SECONDS", 0)
    for times in (2, 3):
        await addresses.find("127.0.0.1", 80)
        assert len(names.hosts) == times


@pytest.mark.gen_test
async def test_a_lookup_that_is_under_way_is_the_only_one_however_many_give_up(addresses, names, monkeypatch):
    monkeypatch.setattr(upstream.connections.addresses, "ADDRESSES_SECONDS", 0)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(addresses.find("127.0.0.1", 80), 0.01)
        addresses.forget("127.0.0.1", 80)
    assert names.hosts == ["127.0.0.1"]
    addresses.close()


@pytest.mark.gen_test
async def test_a_name_that_is_none_is_an_error_also_when_nobody_waits_for_it_any_more(addresses, names):
    asking = asyncio.create_task(addresses.find("nobody.invalid", 80))
    await until(lambda: names.hosts)
    asking.cancel()
    names.gate.set()
    with pytest.raises(gaierror):
        await addresses.find("nobody.invalid", 80)
    with pytest.raises(UnicodeError):
        await addresses.find("x" * 64 + ".example", 80)
