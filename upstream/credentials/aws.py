"""Amazon's credential: a signature of each request, made by access keys that the operator set, or that AWS's own tools find.

The latter is botocore's chain: environment, profile, SSO, assumed roles, web identity, container, instance. It reads files
and asks other servers, so it runs in a thread. botocore is imported there when it is first needed.

The body is signed by its SHA-256. Bedrock takes no body without one: `UNSIGNED-PAYLOAD` is for S3 alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from time import monotonic as monotonic_clock
from typing import Any

from upstream.client import CredentialError
from upstream.connections.network import locate
from upstream.credentials.access import credential_hint
from upstream.credentials.sigv4 import AwsKeys, Scope, sign
from upstream.headers import Headers
from upstream.refreshed import Refreshed

NO_KEYS = "the bridge has no AWS credentials; its log says why"
# A larger body is hashed in a thread, in bytes: up to this size it takes a millisecond or two.
MAX_HASHED_AT_ONCE = 1024 * 1024
# Seconds after which keys are read again; requests do not wait for that. botocore renews keys that expire within
# 15 minutes, so its keys are valid for longer than `MAX_AGE_SECONDS`.
REFRESH_SECONDS = 60.0
# Older keys are not used: a request waits for new ones.
MAX_AGE_SECONDS = 600.0
# Proxies change it, and Amazon's own clients do not sign it.
_UNSIGNED = "x-amzn-trace-id"


class AwsAuthorizer:
    """Signs requests for a service of AWS. Belongs to one event loop.

    Args:
        find: Returns the access keys to sign with. It may block, and raise anything.
        scope: What its signatures are good for.
        now: The time in UTC.
        monotonic: A clock that never goes back, in seconds.

    Attributes:
        hint: Enough of the id of the access key that signed last to recognise it by; "" before that.
    """

    def __init__(
        self,
        find: Callable[[], AwsKeys],
        scope: Scope,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = monotonic_clock,
    ) -> None:
        self.hint = ""
        self._scope = scope
        self._now = now
        self._keys = Refreshed(
            lambda: asyncio.get_running_loop().run_in_executor(None, find),
            monotonic,
            lambda _, found_at: (found_at + REFRESH_SECONDS, found_at + MAX_AGE_SECONDS),
            "no AWS credentials",
        )

    async def authorize(self, method: str, url: str, headers: Headers, body: bytes | bytearray) -> Headers:
        """The headers to add to a request, which signs its method, its address, its content type and its body."""
        try:
            keys = await self._keys.get()
        except Exception as error:
            raise CredentialError(NO_KEYS) from error
        self.hint = credential_hint(keys.access_key_id)
        payload_hash = await _hash(body)
        origin, target = locate(url)
        signed = [("Host", origin.authority), *[header for header in headers if _is_signed(header[0].lower())]]
        return sign(method, target, signed, payload_hash, keys=keys, scope=self._scope, at=self._now())


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
            raise LookupError("none were found: not in the environment, a profile, a container or an instance")
        if isinstance(credentials, RefreshableCredentials):
            kept.append(session)  # any other would not read its files again
        frozen = credentials.get_frozen_credentials()
        return AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or "")

    return find


def _is_signed(name: str) -> bool:
    return name == "content-type" or (name.startswith("x-amz") and name != _UNSIGNED)


async def _hash(body: bytes | bytearray) -> str:
    if len(body) <= MAX_HASHED_AT_ONCE:
        return sha256(body).hexdigest()
    return await asyncio.to_thread(lambda: sha256(body).hexdigest())
