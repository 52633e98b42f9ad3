"""A proxy that corrupts the traffic through it, with one kind of fault at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from verify.wire import Address


def unchanged(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Fault:
    """How requests and answers are changed; whether answers are held to their end, given an end, or outlive the client."""

    request: Callable[[bytes], bytes] = unchanged
    response: Callable[[bytes], bytes] = unchanged
    holds: bool = False
    ends_what_was_cut: bool = False
    stays: bool = False


def replacing(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    assert len(old) == len(new)
    return lambda data: data.replace(old, new)


@asynccontextmanager
async def tampering(address: Address, fault: Fault):
    """Listen, and pass on to the address with the fault."""
    tasks, transports = [], []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        there, here = await asyncio.open_connection(address.host, address.port)
        transports.extend((writer.transport, here.transport))
        await asyncio.gather(requests(reader, here), responses(there, writer))

    async def requests(reader, here):
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                here.write(fault.request(data))
        if not fault.stays:
            here.transport.abort()

    async def responses(there, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if fault.holds:
                writer.write(await there.readuntil(b"\r\n\r\n"))
                writer.write(await there.readuntil(b"\r\n0\r\n\r\n"))
            while data := await there.read(65536):
                writer.write(fault.response(data))
        if fault.ends_what_was_cut:
            writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1], tls=False, prefix="")
    finally:
        server.close()
        # Not cancelled: the streams of Python 3.11 log an error for a task that is.
        for transport in transports:
            transport.abort()
        await asyncio.gather(*tasks)
