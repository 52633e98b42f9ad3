"""AWS's signature, version 4: the headers that sign a request.

Paths are percent-encoded once more than they are on the wire, as all services but S3 want it. Nothing is requested here:
the time and the hash of the body are given.

Source: AWS Identity and Access Management, "Create a signed AWS API request". Checked against the test suite that AWS
publishes, and against botocore.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

from upstream.headers import Headers

ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
# Those of RFC 3986 that are not reserved, and the slash between segments.
_SAFE = "/~"


@dataclass(frozen=True)
class AwsKeys:
    """An access key of AWS. One for a time comes with a session token."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Scope:
    """What a signature is good for, such as `us-east-1` and `bedrock`."""

    region: str
    service: str


def sign(
    method: str, target: str, headers: Headers, payload_hash: str, *, keys: AwsKeys, scope: Scope, at: datetime
) -> Headers:
    """The headers to add to a request, so that AWS knows who sends it.

    Args:
        method: Of the request.
        target: The path and the query, as they are on the wire.
        headers: Those that are signed, and then have to be sent as they are here; `Host` must be one of them.
        payload_hash: The SHA-256 of the body, in hexadecimal digits.
        keys: Whose signature it is.
        scope: What it is good for.
        at: The time, which may be 5 minutes away from that of AWS.
    """
    time = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [("X-Amz-Date", time)]
    if keys.session_token:
        added.append(("X-Amz-Security-Token", keys.session_token))
    names, lines = _canonical_headers([*headers, *added])
    path, _, query = target.partition("?")
    request = "\n".join([method, canonical_path(path), _canonical_query(query), lines, names, payload_hash])
    credential = f"{time[:8]}/{scope.region}/{scope.service}/{_TERMINATOR}"
    text = "\n".join([ALGORITHM, time, credential, sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in (time[:8], scope.region, scope.service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    named = f"Credential={keys.access_key_id}/{credential}, SignedHeaders={names}, Signature={signature}"
    return [*added, ("Authorization", f"{ALGORITHM} {named}")]


def canonical_path(path: str) -> str:
    """A path as it is signed: without empty and dot segments, percent-encoded once more."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in {"", "."}:
            segments.append(segment)
    end = "/" if path.endswith("/") and segments else ""
    return quote("/" + "/".join(segments) + end, safe=_SAFE)


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs))


def _canonical_headers(headers: Headers) -> tuple[str, str]:
    """The names of headers, and a line for each name, with the values in their order."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(values)
    return ";".join(names), "".join(f"{name}:{','.join(values[name])}\n" for name in names)
