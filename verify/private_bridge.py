"""A bridge of our own to verify: `python server.py` with an embedded MongoDB in a folder that is removed afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from verify.relay_checks import KEY, Loopback
from verify.target import Target
from verify.upstream import Upstream
from verify.wire import Address, UnreachableError

START_SECONDS = 60.0
"""How long the start of the bridge, or one of its commands, may take."""

PROVIDER = "verify"
# No setting of the environment may reach the private bridge: with its database, a user and a token would be made in there.
_SETTINGS = ("CODER_AIBRIDGE_", "AIBRIDGE_")
_SERVER = Path(__file__).parent.parent / "server.py"
_LISTENING = re.compile(rb"listening on (http://\S+)")


@asynccontextmanager
async def private_bridge() -> AsyncIterator[Loopback]:
    """Run a bridge whose provider is ours.

    Raises:
        UnreachableError: It does not start.
    """
    with TemporaryDirectory(prefix="aibridge-verify-") as data_dir:
        async with Upstream().listening() as upstream:
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)},
                "CODER_AIBRIDGE_DATA_DIR": data_dir,
                "CODER_AIBRIDGE_HTTP_ADDRESS": "127.0.0.1:0",
                "CODER_AIBRIDGE_PROVIDER_0_TYPE": "anthropic",
                "CODER_AIBRIDGE_PROVIDER_0_NAME": PROVIDER,
                "CODER_AIBRIDGE_PROVIDER_0_BASE_URL": upstream.url,
                "CODER_AIBRIDGE_PROVIDER_0_KEYS": KEY,
                "CODER_AIBRIDGE_RATE_LIMIT": "1000",
            }
            server = await _start(environment)
            try:
                address = Address.parse(await _listening(server))
                await _command(environment, "users", "add", "verify", "--role", "owner")
                token = (await _command(environment, "tokens", "create", "verify")).split()[-1]
                yield Loopback(Target(address, token, provider=PROVIDER, model="verify"), upstream)
            finally:
                await _stop(server)


async def _start(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, str(_SERVER), *arguments, env=environment, stdout=pipe, stderr=pipe
    )


async def _listening(server: asyncio.subprocess.Process) -> str:
    output = b""
    try:
        async with asyncio.timeout(START_SECONDS):
            while line := await server.stderr.readline():  # type: ignore[union-attr]
                output = line
                if found := _LISTENING.search(line):
                    return found[1].decode()
    except TimeoutError:
        pass
    raise UnreachableError(f"a private bridge does not start: {output.decode(errors='replace').strip()}")


async def _command(environment: dict[str, str], *arguments: str) -> str:
    process = await _start(environment, *arguments)
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), START_SECONDS)
    except TimeoutError:
        process.kill()
        raise UnreachableError(f"the command {arguments[0]} takes too long") from None
    if process.returncode:
        raise UnreachableError(stderr.decode(errors="replace").strip())
    return stdout.decode()


async def _stop(server: asyncio.subprocess.Process) -> None:
    if server.returncode is None:
        server.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(server.communicate(), START_SECONDS)
    except TimeoutError:
        server.kill()
        await server.wait()
