"""`/openapi.json`: what is served, described for programs."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from functools import cache

import msgspec

from handlers.base import BridgeHandler
from handlers.openapi.document import openapi_document
from version import VERSION

# It changes with a new version only, and its tag tells whether it did.
KEEP_SECONDS = 300


@dataclass(frozen=True)
class Description:
    """The document as it is sent, and its entity tag."""

    body: bytes
    tag: str


@cache
def description() -> Description:
    """The document of this version, made once in a process: it takes 0.1 s."""
    body = msgspec.json.encode(openapi_document(VERSION))
    return Description(body, tag=f'"{hashlib.sha256(body).hexdigest()[:16]}"')


class OpenAPIHandler(BridgeHandler):
    """Tells everybody what is served: there is nothing secret in it."""

    _description: Description

    async def get(self) -> None:
        """Send the document; 304 to whom has it."""
        self._description = await asyncio.to_thread(description)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", f"public, max-age={KEEP_SECONDS}")
        self.write(self._description.body)

    def compute_etag(self) -> str:
        """The tag of the document; Tornado answers 304 by it."""
        return self._description.tag
