"""Where the access keys of AWS come from: a setting, or wherever AWS's own tools find them.

The latter is botocore's chain: environment, profile, SSO, assumed roles, web identity, container, instance. It reads files
and asks other servers, so it runs in a thread. botocore is imported there when it is first needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from upstream.credentials.sigv4 import AwsKeys
from upstream.refreshed import Refreshed, describe

# Seconds after which keys are read again; requests do not wait for that. botocore renews keys that expire within
# 15 minutes, so its keys are valid for longer than `MAX_AGE_SECONDS`.
REFRESH_SECONDS = 60.0
# Older keys are not used: a request waits for new ones.
MAX_AGE_SECONDS = 600.0


class NoAwsKeysError(Exception):
    """There are no access keys. The text says why, and has no secret in it."""


class AwsKeySource(Protocol):
    """Gives the access keys to sign with."""

    async def keys(self) -> AwsKeys:
        """The current access keys.

        Raises:
            NoAwsKeysError: there are none.
        """

    def expire(self) -> None:
        """Take the keys for ended: AWS says so."""


class StaticKeys:
    """Keys that the operator set."""

    def __init__(self, keys: AwsKeys) -> None:
        self._keys = keys

    async def keys(self) -> AwsKeys:
        """The keys, which never change."""
        return self._keys

    def expire(self) -> None:
        """Do nothing: there are no others."""


class FoundKeys:
    """Keys for one event loop, read in a thread, and again before they expire. `find` may block, and raise anything."""

    def __init__(self, find: Callable[[], AwsKeys], monotonic: Callable[[], float]) -> None:
        self._found = Refreshed(
            lambda: asyncio.get_running_loop().run_in_executor(None, find),
            monotonic,
            lambda _, now: (now + REFRESH_SECONDS, now + MAX_AGE_SECONDS),
            "no AWS credentials",
        )

    async def keys(self) -> AwsKeys:
        """The last keys; if they are old or missing, waits for new ones."""
        try:
            return await self._found.get()
        except Exception as error:
            raise NoAwsKeysError(describe(error)) from error

    def expire(self) -> None:
        """Take the keys for ended: the next request waits for a search, unless one has just ended."""
        self._found.expire()


def botocore_finder(profile: str) -> Callable[[], AwsKeys]:
    """A function that finds credentials with botocore. It blocks, and caches those that botocore renews.

    Args:
        profile: Of the AWS configuration files; empty is `AWS_PROFILE`, or the default.
    """
    kept: list[Any] = []  # a session of botocore, whose types are not known here

    def find() -> AwsKeys:
        from botocore.credentials import RefreshableCredentials  # noqa: PLC0415 - takes a tenth of a second
        from botocore.session import Session  # noqa: PLC0415

        session = kept.pop() if kept else Session(profile=profile or None)
        credentials = session.get_credentials()
        if credentials is None:
            raise NoAwsKeysError("none were found: not in the environment, a profile, a container or an instance")
        if isinstance(credentials, RefreshableCredentials):
            kept.append(session)  # any other would not read its files again
        frozen = credentials.get_frozen_credentials()
        return AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or "")

    return find
